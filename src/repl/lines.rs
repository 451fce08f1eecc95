//! Texts into lines: what is pasted or piped is cut where a statement is whole; prompts that were copied with it are taken off.

use crate::script::prompt::lines::LineParser;

/// A text as lines that are each whole: see [`LineParser::split`].
pub fn split(parser: &LineParser, text: &str) -> Vec<String> {
    parser.split(text).into_iter().map(|typed| typed.text).collect()
}

/// A pasted session without its prompts and its output; a text that has none is one line.
pub fn without_prompts(parser: &LineParser, prompt: &str, text: &str) -> Vec<String> {
    let typed = |line: &str| [prompt, "lathe> "].iter().find_map(|p| line.trim_start().strip_prefix(*p).map(str::to_owned)).or_else(|| of_run(line));
    if !text.lines().any(|l| typed(l).is_some()) {
        return vec![text.to_owned()];
    }
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        match (typed(line), out.last_mut()) {
            (Some(line), _) => out.push(line),
            // What follows an unfinished line belongs to it, the rest is output.
            (None, Some(open)) if parser.needs_more(open) => {
                open.push('\n');
                *open += line;
            }
            _ => {}
        }
    }
    out
}

/// What was typed at a run's prompt, `try1:1 301> x`.
fn of_run(line: &str) -> Option<String> {
    let (head, rest) = line.split_once("> ")?;
    let (name, step) = head.rsplit_once(':')?;
    let is_prompt =
        !name.is_empty() && !name.contains(char::is_whitespace) && !step.is_empty() && step.chars().all(|c| c.is_ascii_digit() || c == ' ');
    is_prompt.then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_statements_end() {
        let p = LineParser::default();
        let text = "let x = 1;\n\n// a note\nfn f(a) {\n  a + x\n}\nif x > 1 {\n 2\n}\nelse { 3 }\n:vars\nx\n  .to_string()\nlet s = `a\nb`;\n[1,";
        let want = [
            "let x = 1;",
            "// a note\nfn f(a) {\n  a + x\n}",
            "if x > 1 {\n 2\n}\nelse { 3 }",
            ":vars",
            "x\n  .to_string()",
            "let s = `a\nb`;",
            "[1,",
        ];
        assert_eq!(split(&p, text), want);
    }

    #[test]
    fn pasted_sessions_lose_prompts_and_output() {
        let p = LineParser::default();
        let text = "lathe> let x = [\n  1, 2]\nlathe> x\n[1, 2]\ntry1:1 301> x.len()\n2";
        assert_eq!(without_prompts(&p, "lathe> ", text), ["let x = [\n  1, 2]", "x", "x.len()"]);
        assert_eq!(without_prompts(&p, "lathe> ", "a > b"), ["a > b"]);
    }
}
