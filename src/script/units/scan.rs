//! A script's text as far as the parser's tree does not say: what is code, where a closure begins and ends, and what it is given to.

use rhai::Position;

/// One character that counts: no blank and no comment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// Its place in the text, in bytes.
    pub at: usize,
    pub c: char,
    /// Whether it is code and not a part of a string.
    pub code: bool,
    /// Whether a blank, a comment or the text's beginning stands before it.
    gap: bool,
}

/// A text without what does not count.
pub(crate) struct Scan<'a> {
    text: &'a str,
    pub marks: Vec<Mark>,
}

/// Where a closure stands, in numbers of marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Its first `|`.
    pub start: usize,
    /// The parameters that it declares.
    pub params: Vec<String>,
    /// Where its body begins.
    pub body: usize,
    /// Behind its last mark.
    pub end: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Scan { text, marks: marks(text) }
    }

    /// The number of the first mark at a position or behind it.
    pub(crate) fn at(&self, position: Position) -> Option<usize> {
        let line = position.line()?;
        let start = if line == 1 { 0 } else { self.text.match_indices('\n').nth(line - 2)?.0 + 1 };
        let column = position.position().unwrap_or(1).max(1);
        let offset = self.text[start..].char_indices().nth(column - 1).map_or(self.text.len(), |(i, _)| start + i);
        Some(self.marks.partition_point(|m| m.at < offset))
    }

    /// The line of a mark, from 1.
    pub(crate) fn line(&self, mark: usize) -> usize {
        let at = self.marks.get(mark).map_or(self.text.len(), |m| m.at);
        self.text[..at].matches('\n').count() + 1
    }

    fn code(&self, i: usize) -> Option<char> {
        self.marks.get(i).filter(|m| m.code).map(|m| m.c)
    }

    /// The mark behind the bracket that closes the one at `open`.
    pub(crate) fn behind(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for i in open..self.marks.len() {
            match self.code(i) {
                Some('(' | '[' | '{') => depth += 1,
                Some(')' | ']' | '}') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return i + 1;
                    }
                }
                _ => {}
            }
        }
        self.marks.len()
    }

    /// The bracket that opens what the one at `close` closes.
    fn before(&self, close: usize) -> Option<usize> {
        let mut depth = 0usize;
        for i in (0..=close).rev() {
            match self.code(i) {
                Some(')' | ']' | '}') => depth += 1,
                Some('(' | '[' | '{') => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(i);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The word that ends with mark `last`, and where it begins.
    pub(crate) fn word_before(&self, last: usize) -> Option<(usize, String)> {
        let mut start = last;
        self.code(last).filter(|c| is_word(*c))?;
        while start > 0 && !self.marks[start].gap && self.code(start - 1).is_some_and(is_word) {
            start -= 1;
        }
        Some((start, self.marks[start..=last].iter().map(|m| m.c).collect()))
    }

    /// Whether a `|` at mark `i` begins a closure: nothing stands before it that could be or-ed.
    fn begins_closure(&self, i: usize) -> bool {
        let Some(before) = i.checked_sub(1) else { return true };
        match self.code(before) {
            None => false,
            Some(')' | ']' | '}') => false,
            Some(c) if is_word(c) => self.word_before(before).is_some_and(|(_, w)| matches!(w.as_str(), "return" | "throw" | "in" | "else")),
            Some(_) => true,
        }
    }

    /// Every closure, in the order in which they begin.
    pub(crate) fn closures(&self) -> Vec<Extent> {
        let mut found: Vec<Extent> = Vec::new();
        let mut i = 0;
        while i < self.marks.len() {
            if self.code(i) != Some('|') {
                i += 1;
            } else if let Some((params, body)) = self.begins_closure(i).then(|| self.parameters(i)).flatten() {
                found.push(Extent { start: i, params, body, end: body });
                i = body;
            } else {
                // Both of `||`.
                i += if self.code(i + 1) == Some('|') { 2 } else { 1 };
            }
        }
        // The last begin first: a closure's end may be that of one in it.
        for n in (0..found.len()).rev() {
            found[n].end = self.end(&found, n);
        }
        found
    }

    fn parameters(&self, start: usize) -> Option<(Vec<String>, usize)> {
        let close = (start + 1..self.marks.len()).find(|i| self.code(*i) == Some('|'))?;
        let inside: String = self.marks[start + 1..close].iter().map(|m| m.c).collect();
        let params: Vec<String> = inside.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        params.iter().all(|p| p.chars().all(is_word)).then_some((params, close + 1))
    }

    fn end(&self, found: &[Extent], n: usize) -> usize {
        let body = found[n].body;
        if self.code(body) == Some('{') {
            return self.behind(body);
        }
        let mut i = body;
        while i < self.marks.len() {
            if let Some(inner) = found[n + 1..].iter().find(|e| e.start == i) {
                i = inner.end.max(i + 1);
                continue;
            }
            match self.code(i) {
                Some('(' | '[' | '{') => i = self.behind(i),
                Some(',' | ';' | ')' | ']' | '}') => return i,
                _ => i += 1,
            }
        }
        i
    }

    /// The characters of some marks, what stands in `holes` replaced by one sign each.
    pub(crate) fn without<'e>(&self, from: usize, to: usize, holes: impl Iterator<Item = &'e Extent>) -> String {
        let mut out = String::new();
        let mut i = from;
        for hole in holes {
            out.extend(self.marks[i.min(hole.start)..hole.start].iter().map(|m| m.c));
            out.push(HOLE);
            i = hole.end;
        }
        out.extend(self.marks[i.min(to)..to].iter().map(|m| m.c));
        out
    }

    /// What a closure is given to: the text before it from the beginning of its statement, where an argument or element is its number, and
    /// the same as people call it: `m.forward`, `nn::lambda`. `from`: where the body begins that it stands in.
    pub(crate) fn target(&self, extent: &Extent, from: usize) -> (String, String) {
        let (mut path, mut shown) = (String::new(), String::new());
        let mut end = extent.start;
        loop {
            let (start, opener, arguments) = self.left_of(end, from);
            // Of arguments only the number stays, of an assignment and of a map's key all.
            let bracket = opener.and_then(|o| self.code(o));
            let key = if matches!(bracket, Some('(' | '[')) { format!("#{arguments}") } else { String::new() };
            let piece: String = self.marks[start..end].iter().map(|m| m.c).collect();
            path = format!("{key}{piece}{path}");
            if shown.is_empty() {
                shown = self.shown(start, end, opener);
            }
            match (bracket, opener) {
                (Some(b @ ('(' | '[')), Some(o)) => {
                    path.insert(0, b);
                    end = o;
                }
                (Some('{'), Some(o)) if o > 0 && self.code(o - 1) == Some('#') => {
                    path.insert_str(0, "#{");
                    end = o - 1;
                }
                _ => return (path, shown),
            }
        }
    }

    /// From `end` back to the beginning of a statement, argument, element or key: where that is, the bracket before it, and how many
    /// arguments stand between them.
    fn left_of(&self, end: usize, from: usize) -> (usize, Option<usize>, usize) {
        let (mut i, mut start, mut commas) = (end, None, 0);
        while i > from {
            match self.code(i - 1) {
                Some('(' | '[' | '{') => return (start.unwrap_or(i), Some(i - 1), commas),
                Some(';') => return (start.unwrap_or(i), None, commas),
                Some(',') => {
                    start = start.or(Some(i));
                    commas += 1;
                    i -= 1;
                }
                Some('}') => match self.before(i - 1) {
                    // A block is a statement of its own, a map is a value.
                    Some(open) if open > 0 && self.code(open - 1) == Some('#') => i = open - 1,
                    _ => return (start.unwrap_or(i), None, commas),
                },
                Some(')' | ']') => i = self.before(i - 1).unwrap_or(0),
                _ => i -= 1,
            }
        }
        (start.unwrap_or(i), None, commas)
    }

    fn shown(&self, start: usize, end: usize, opener: Option<usize>) -> String {
        let slice = |a: usize, b: usize| -> &str {
            let (Some(from), Some(to)) = (self.marks.get(a), self.marks.get(b.wrapping_sub(1))) else { return "" };
            if a >= b { "" } else { self.text[from.at..to.at + to.c.len_utf8()].trim() }
        };
        let name = |text: &str| {
            let text = text.trim_start_matches("export ").trim_start_matches("let ").trim_start_matches("const ").trim();
            text.chars().take(60).collect::<String>()
        };
        match end.checked_sub(1).filter(|last| *last >= start).and_then(|last| self.code(last)) {
            Some('=') => name(slice(start, end - 1).trim_end_matches(['+', '-', '*'])),
            Some(':') => name(slice(start, end - 1)),
            _ => match opener.filter(|o| self.code(*o) == Some('(')) {
                Some(open) => {
                    let mut a = open;
                    while a > 0 && self.code(a - 1).is_some_and(|c| is_word(c) || c == ':' || c == '.') {
                        a -= 1;
                    }
                    Some(slice(a, open)).filter(|n| !matches!(*n, "return" | "throw" | "if" | "while")).map(name).unwrap_or_default()
                }
                None => String::new(),
            },
        }
    }

    /// The words of some marks, and the texts of strings that are words: they may be names.
    pub(crate) fn words(&self, from: usize, to: usize, holes: &[&Extent]) -> Vec<Word> {
        let mut found: Vec<Word> = Vec::new();
        let mut i = from;
        while i < to {
            if let Some(hole) = holes.iter().find(|h| h.start == i) {
                i = hole.end.max(i + 1);
                continue;
            }
            let is_code = self.marks[i].code;
            let mut end = i + 1;
            if is_code && !is_word(self.marks[i].c) {
                i = end;
                continue;
            }
            let more = |end: usize| if is_code { !self.marks[end].gap && self.code(end).is_some_and(is_word) } else { !self.marks[end].code };
            while end < to && more(end) {
                end += 1;
            }
            let text: String = self.marks[i..end].iter().map(|m| m.c).filter(|c| is_code || !matches!(c, '"' | '`' | '\'')).collect();
            if !text.is_empty() && text.chars().all(is_word) {
                let is_qualified = is_code && i >= 3 && self.code(i - 1) == Some(':') && self.code(i - 2) == Some(':');
                let module = if is_qualified { self.word_before(i - 3).map(|(_, w)| w) } else { None };
                // The constants of the text itself.
                let module = module.filter(|m| m != "global");
                found.push(Word { at: i, module, text, is_call: is_code && self.code(end) == Some('(') });
            }
            i = end;
        }
        found
    }
}

/// A word of a text.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// Its first mark.
    pub at: usize,
    /// The module's name before it: `flow` of `flow::sample`.
    pub module: Option<String>,
    pub text: String,
    /// Whether it is called there.
    pub is_call: bool,
}

/// What stands for a closure in the text around it.
const HOLE: char = '\u{1}';

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn marks(text: &str) -> Vec<Mark> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut out: Vec<Mark> = Vec::with_capacity(text.len());
    let (mut i, mut gap) = (0, true);
    // How many braces are open inside of each `${`.
    let mut templates: Vec<usize> = Vec::new();
    let c = |i: usize| chars.get(i).map(|(_, c)| *c);
    let mut in_template = false;
    while let Some(now) = c(i) {
        let mut put = |i: usize, code: bool, gap: &mut bool| {
            out.push(Mark { at: chars[i].0, c: chars[i].1, code, gap: std::mem::take(gap) });
        };
        if in_template {
            put(i, false, &mut gap);
            match (now, c(i + 1)) {
                ('`', Some('`')) => {
                    put(i + 1, false, &mut gap);
                    i += 1;
                }
                ('`', _) => in_template = false,
                ('$', Some('{')) => {
                    put(i + 1, false, &mut gap);
                    i += 1;
                    templates.push(0);
                    in_template = false;
                }
                _ => {}
            }
            i += 1;
            continue;
        }
        match (now, c(i + 1)) {
            (c, _) if c.is_whitespace() => gap = true,
            ('/', Some('/')) => {
                while c(i).is_some_and(|c| c != '\n') {
                    i += 1;
                }
                gap = true;
                continue;
            }
            ('/', Some('*')) => {
                let mut depth = 1;
                i += 2;
                while depth > 0 && c(i).is_some() {
                    match (c(i), c(i + 1)) {
                        (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
                        (Some('*'), Some('/')) => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                }
                gap = true;
                continue;
            }
            ('"' | '\'', _) => {
                put(i, false, &mut gap);
                i += 1;
                while let Some(inner) = c(i) {
                    put(i, false, &mut gap);
                    i += 1;
                    if inner == now {
                        break;
                    }
                    if inner == '\\' && c(i).is_some() {
                        put(i, false, &mut gap);
                        i += 1;
                    }
                }
                continue;
            }
            ('#', Some('#' | '"')) if raw_string(&c, i).is_some() => {
                let end = raw_string(&c, i).unwrap_or(i + 1);
                (i..end).for_each(|i| put(i, false, &mut gap));
                i = end;
                continue;
            }
            ('`', _) => {
                put(i, false, &mut gap);
                in_template = true;
            }
            ('{', _) => {
                if let Some(depth) = templates.last_mut() {
                    *depth += 1;
                }
                put(i, true, &mut gap);
            }
            ('}', _) if templates.last() == Some(&0) => {
                templates.pop();
                in_template = true;
                put(i, false, &mut gap);
            }
            ('}', _) => {
                if let Some(depth) = templates.last_mut() {
                    *depth -= 1;
                }
                put(i, true, &mut gap);
            }
            _ => put(i, true, &mut gap),
        }
        i += 1;
    }
    out
}

/// Where a raw string `#"..."#` ends that begins at `i`.
fn raw_string(c: &dyn Fn(usize) -> Option<char>, i: usize) -> Option<usize> {
    let hashes = (i..).take_while(|i| c(*i) == Some('#')).count();
    let mut at = i + hashes;
    if c(at) != Some('"') {
        return None;
    }
    at += 1;
    while c(at).is_some() {
        if c(at) == Some('"') && (1..=hashes).all(|n| c(at + n) == Some('#')) {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String, String)> {
        let scan = Scan::new(text);
        let extents = scan.closures();
        let text = |e: &Extent| scan.marks[e.start..e.end].iter().map(|m| m.c).collect::<String>();
        extents.iter().map(|e| (text(e), scan.target(e, 0).0, scan.target(e, 0).1)).collect()
    }

    #[test]
    fn closures_are_found_with_what_they_are_given_to() {
        let text = "m.forward = |m, x| m.lin.forward(x) * 1.0; // |not| one\nlet f = [|x| x, |x, y| { x | y }];\n\
                    g(1, #{a: || 2, b: |q| |r| q || r});\nif a || b { c = \"|x| y\" + `${xs.map(|x| x + 1)}|z| z`; }";
        let all = found(text);
        let texts: Vec<&str> = all.iter().map(|a| a.0.as_str()).collect();
        assert_eq!(texts, ["|m,x|m.lin.forward(x)*1.0", "|x|x", "|x,y|{x|y}", "||2", "|q||r|q||r", "|r|q||r", "|x|x+1"]);
        let shown: Vec<&str> = all.iter().map(|a| a.2.as_str()).collect();
        assert_eq!(shown[..5], ["m.forward", "f", "f", "a", "b"]);
        assert_eq!((all[1].1.as_str(), all[2].1.as_str(), all[3].1.as_str()), ("letf=[#0", "letf=[#1", "g(#1#{a:"));
    }

    #[test]
    fn an_argument_is_told_by_its_number_whatever_stands_before_it() {
        let target = |text: &str| found(text).pop().unwrap();
        assert_eq!(target("nn::sequential([nn::linear(1, 2), nn::lambda(|x| x)])").1, target("nn::sequential([nn::relu(3), nn::lambda(|x| x)])").1);
        assert_eq!(target("nn::lambda(|x| x)").2, "nn::lambda");
        assert_eq!(target("let a = #\"|x| \"\"#; fit(run, (), |run, batch| { 1 }, #{})").2, "fit");
    }
}
