//! The options at the cursor of a prompt: keys, and texts where a key takes one of a few.

use crate::script::lang::given::OptionSpec;

/// A literal map that ends a call and is still being typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InMap<'a> {
    /// What is called, as typed: `F::conv2d`, `x.sum`.
    pub callee: &'a str,
    /// The keys before the cursor, without the one being typed.
    pub keys: Vec<&'a str>,
    /// The key whose value is being typed.
    pub value_of: Option<&'a str>,
    /// Where the map begins.
    pub start: usize,
}

/// The call's map of options that a text ends in.
pub(super) fn in_map(before: &str) -> Option<InMap<'_>> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut last = ' ';
    for (i, c) in before.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '`' => quote = Some(c),
                '{' => open.push((i, if last == '#' { '#' } else { '{' })),
                '(' | '[' => open.push((i, c)),
                '}' | ')' | ']' => drop(open.pop()),
                _ => {}
            },
        }
        last = c;
    }
    let [.., (call, '('), (start, '#')] = open[..] else { return None };
    let callee = before[..call].trim_end();
    let from = callee.char_indices().rev().take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | ':' | '.')).last().map(|(i, _)| i)?;
    let parts = entries(&before[start + 1..]);
    let (typed, whole) = parts.split_last()?;
    Some(InMap { callee: &callee[from..], keys: whole.iter().map(|e| key(e)).collect(), value_of: typed.contains(':').then(|| key(typed)), start })
}

fn key(entry: &str) -> &str {
    entry.split(':').next().unwrap_or_default().trim()
}

/// The entries of an open map, divided at the commas between them.
fn entries(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut quote, mut from) = (Vec::new(), 0, None, 0);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(&text[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// What could be typed there, each with what the list shows: keys that are not there yet, or the texts that a key takes.
pub(super) fn candidates(map: &InMap, specs: &[OptionSpec], in_quotes: bool) -> Vec<(String, String)> {
    if let Some(key) = map.value_of {
        let choices = specs.iter().find(|s| s.name == key).map_or(&[][..], |s| s.limits.choices());
        let text = |c: &&str| if in_quotes { (*c).to_owned() } else { format!("\"{c}\"") };
        return choices.iter().map(|c| (text(c), text(c))).collect();
    }
    let shown = |s: &OptionSpec| s.default.as_ref().map_or_else(|| format!("{}: {}", s.name, s.kind), |d| format!("{}: {} = {d}", s.name, s.kind));
    specs.iter().filter(|s| !map.keys.contains(&s.name)).map(|s| (format!("{}: ", s.name), shown(s))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_at_the_end_of_a_call_is_found() {
        let found = |text| in_map(text).map(|m| (m.callee, m.keys, m.value_of));
        assert_eq!(found("let y = F::conv2d(x, w, #{"), Some(("F::conv2d", vec![], None)));
        assert_eq!(found("F::conv2d(x, w, #{padding: [1, 2], str"), Some(("F::conv2d", vec!["padding"], None)));
        assert_eq!(found("x.sum(f(1), #{dim: "), Some(("x.sum", vec![], Some("dim"))));
        assert_eq!(found("F::pad(x, [1], #{mode: \"refl"), Some(("F::pad", vec![], Some("mode"))));
        assert_eq!(found("F::pad(x, \"#{\", #{value: \"a,b\", mode: \""), Some(("F::pad", vec!["value"], Some("mode"))));
        for text in ["let m = #{", "f([#{", "f(#{a: 1}, ", "f(#{a: #{", "if x { f(", "f(\"#{"] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
