//! Options given as in Python, `x.mean(dim = 1)`, and the line to type instead.

use rhai::Position;

/// What is wrong and what is to be typed, where the parser stopped at a name with `=` behind it among the arguments of a call.
pub(super) fn told(text: &str, at: Position) -> Option<(String, String)> {
    let start = offset(text, at)?;
    let start = if text[start..].starts_with('=') { word_before(text, start)? } else { start };
    let name: &str = &text[start..start + word(&text[start..])];
    let is_given = is_name(name) && assigned(&text[start + name.len()..]).is_some();
    if !is_given || !text[..start].trim_end().ends_with(['(', ',']) {
        return None;
    }
    let open = opened(&text[..start])?;
    let close = open + 1 + closed(&text[open + 1..])?;
    let (options, places): (Vec<&str>, Vec<&str>) = arguments(&text[open + 1..close]).into_iter().partition(|a| option(a).is_some());
    let options: Vec<String> = options.iter().filter_map(|a| option(a)).map(|(k, v)| format!("{k}: {}", value(v))).collect();
    let places = places.into_iter().map(str::to_owned);
    let call: Vec<String> = places.chain([format!("#{{{}}}", options.join(", "))]).collect();
    let call = call.join(", ");
    let first = text[..open].rfind('\n').map_or(0, |i| i + 1);
    let last = text[close..].find('\n').map_or(text.len(), |n| close + n);
    let line = format!("{}({call}{}", &text[first..open], &text[close..last]);
    let given = option(arguments(&text[start..close]).first()?).map_or(String::new(), |(k, v)| format!("{k} = {v}"));
    Some((format!("`{given}` is Python's way of giving an option: here options are a map"), format!("write `{}`", line.trim())))
}

fn offset(text: &str, at: Position) -> Option<usize> {
    let line = at.line()? - 1;
    let start = if line == 0 { 0 } else { text.match_indices('\n').nth(line - 1)?.0 + 1 };
    let (i, _) = text[start..].char_indices().nth(at.position()?.checked_sub(1)?)?;
    Some(start + i)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The bytes of the word that a text begins with.
fn word(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

fn word_before(text: &str, end: usize) -> Option<usize> {
    let head = text[..end].trim_end();
    let tail: usize = head.chars().rev().take_while(|c| is_word(*c)).map(char::len_utf8).sum();
    (tail > 0).then(|| head.len() - tail)
}

/// What stands behind the `=` that a text begins with.
fn assigned(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('=').filter(|rest| !rest.starts_with(['=', '>']))
}

/// An argument with a name.
fn option(argument: &str) -> Option<(&str, &str)> {
    let name = &argument[..word(argument)];
    assigned(&argument[name.len()..]).filter(|_| is_name(name)).map(|value| (name, value.trim()))
}

/// A value of Python in this language.
fn value(text: &str) -> &str {
    match text {
        "True" => "true",
        "False" => "false",
        "None" => "()",
        other => other,
    }
}

/// Where the bracket stands that is open at the end of a text.
fn opened(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '(' | '[' | '{' if depth == 0 => return (c == '(').then_some(i),
            '(' | '[' | '{' => depth -= 1,
            ';' => return None,
            _ => {}
        }
    }
    None
}

/// Each character outside of brackets and texts, with its place.
fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut depth, mut quote, mut is_escaped) = (0_i32, None, false);
    text.char_indices().filter(move |(_, c)| {
        if let Some(q) = quote {
            if is_escaped {
                is_escaped = false;
            } else if *c == '\\' {
                is_escaped = true;
            } else if *c == q {
                quote = None;
            }
            return false;
        }
        match c {
            '"' | '`' | '\'' => quote = Some(*c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => return depth == 0,
        }
        depth < 0
    })
}

/// Where the bracket closes that is open in front of a text.
fn closed(text: &str) -> Option<usize> {
    outside(text).find(|(_, c)| *c == ')').map(|(i, _)| i)
}

fn arguments(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    for (i, _) in outside(text).filter(|(_, c)| *c == ',') {
        out.push(text[start..i].trim());
        start = i + 1;
    }
    out.push(text[start..].trim());
    out.retain(|a| !a.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_python_are_told_with_the_line() {
        let at = |text: &str, word: &str| told(text, Position::new(1, u16::try_from(text.find(word).unwrap() + 1).unwrap()));
        let cases = [
            ("let m = x.mean(dim = 1);", "dim", "write `let m = x.mean(#{dim: 1});`"),
            ("let m = x.mean(dim=1, keepdim=True) + 1;", "dim", "write `let m = x.mean(#{dim: 1, keepdim: true}) + 1;`"),
            ("F::conv2d(x, w, stride=[1, 2])", "stride", "write `F::conv2d(x, w, #{stride: [1, 2]})`"),
            ("f(g(a, b), name = \"a, (b\", c)", "name", "write `f(g(a, b), c, #{name: \"a, (b\"})`"),
            ("x.sum(dim = 0)", "= 0", "write `x.sum(#{dim: 0})`"),
        ];
        for (text, word, want) in cases {
            assert_eq!(at(text, word).map(|(_, help)| help).as_deref(), Some(want), "{text}");
        }
        for other in ["let dim = 1;", "f(dim == 1)", "f(|x| { dim = x })", "f(dim)"] {
            assert!(at(other, "dim").is_none(), "{other}");
        }
    }
}
