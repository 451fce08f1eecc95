//! Where the slip is that a word mends.

use crate::error::Replacement;
use crate::script::text::script::Script;
use crate::script::text::token::Kind;
use std::ops::Range;

/// A slip is not looked for further behind the place of its fault.
const FURTHEST: usize = 40;

/// The place of the slip, and the text that belongs there: `from` is where its fault stands, or the beginning of the path that it ends.
pub fn found(script: &Script, from: usize, replacement: &Replacement) -> Option<(Range<usize>, String)> {
    let (old, new) = (replacement.old.as_str(), replacement.new.as_str());
    let first = script.code.partition_point(|t| t.end <= from);
    for token in script.code.iter().skip(first).take(FURTHEST) {
        let written = token.text(&script.source);
        match token.kind {
            // Of a path the last name is the slip, if the rest is the same.
            Kind::Word => {
                let (old_head, old_name) = old.rsplit_once("::").map_or(("", old), |(h, n)| (h, n));
                let (new_head, new_name) = new.rsplit_once("::").map_or(("", new), |(h, n)| (h, n));
                if written == old_name && (old_head == new_head || old_head.is_empty() || new_head.is_empty()) {
                    return Some((token.range(), if old_head.is_empty() { new.to_owned() } else { new_name.to_owned() }));
                }
            }
            Kind::Text if written.trim_matches('"') == old => {
                let inside = token.start + 1..token.end - 1;
                // Of a module its name may be said alone.
                let folder = old.split_once('/').filter(|_| !new.contains('/')).map_or(String::new(), |(f, _)| format!("{f}/"));
                return Some((inside, format!("{folder}{new}")));
            }
            Kind::Semicolon => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Diagnostic;

    fn mended(text: &str, at: &str, message: &str) -> Option<String> {
        let replacement = Diagnostic::plain("E0503", message).replacement()?;
        let (range, new) = found(&Script::new(text), text.find(at).unwrap(), &replacement)?;
        let mut out = text.to_owned();
        out.replace_range(range, &new);
        Some(out)
    }

    #[test]
    fn what_messages_offer_is_put_in_its_place() {
        for (text, at, message, wanted) in [
            ("let x = torch::zeors(1);", "torch", "`torch` has no function `zeors`, did you mean `zeros`?", "let x = torch::zeros(1);"),
            ("F::conv2d(x, #{ strid: 2 })", "strid", "conv2d: unknown option `strid`, did you mean `stride`?", "F::conv2d(x, #{ stride: 2 })"),
            (
                "import \"std/flwo\" as f;",
                "\"std",
                "the standard library has no module `std/flwo`, did you mean `flow`?",
                "import \"std/flow\" as f;",
            ),
            ("import \"./hlper\" as f;", "\"./", "there is no `./hlper`, did you mean `./helper`?", "import \"./helper\" as f;"),
            ("trian::fit(1)", "trian", "unknown function `trian::fit`, did you mean `train::fit`?", "trian::fit(1)"),
            ("a + valeu", "valeu", "unknown variable `valeu`, did you mean `value`?", "a + value"),
        ] {
            let is_same = text == wanted;
            assert_eq!(mended(text, at, message), (!is_same).then(|| wanted.to_owned()), "{message}");
        }
        assert_eq!(mended("a; b", "a", "unknown `b`, did you mean `c`?"), None);
        assert_eq!(Diagnostic::plain("E0503", "nothing is near").replacement(), None);
    }
}
