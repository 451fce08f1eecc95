//! Texts that are half written or broken.

use lathe::script::text::faults::faults;
use lathe::script::text::format::format;
use lathe::script::text::lexer::lex;
use lathe::script::text::script::Script;
use lathe::script::text::site::site;

/// Reads a text in every way; tokens and blanks between them must be the whole text.
fn read(text: &str) -> Script {
    let tokens = lex(text);
    let mut end = 0;
    for t in &tokens {
        assert!(t.start >= end && (t.end > t.start || t.start == text.len()), "{t:?} behind {end} of {text:?}");
        let gap = &text[end..t.start];
        assert!(gap.trim_start_matches('\u{feff}').bytes().all(|b| b.is_ascii_whitespace()), "{gap:?} before {t:?}");
        let _ = t.text(text);
        end = t.end;
    }
    assert!(text[end..].trim_start_matches('\u{feff}').bytes().all(|b| b.is_ascii_whitespace()));
    let script = Script::new(text);
    let _ = (faults(&script), format(text));
    for u in &script.names.uses {
        assert!(u.decl.is_none_or(|d| d < script.names.decls.len()));
        let _ = script.slice(u.at.clone());
    }
    script
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

#[test]
fn every_token_deleted_once() {
    let mut n = 0;
    let mut kept = 0;
    // One file in sixty: all take ten minutes.
    let step = if std::env::var_os("LATHE_ALL").is_some() { 1 } else { 60 };
    for (_, text) in super::files::scripts().into_iter().step_by(step) {
        let whole = Script::new(text.as_str());
        for token in lex(&text) {
            let mut broken = text.clone();
            broken.replace_range(token.range(), "");
            let script = read(&broken);
            let _ = site(&script, token.start);
            // All functions but the one around the token are still found.
            if script.items.len() + 1 >= whole.items.len() {
                kept += 1;
            }
            n += 1;
        }
    }
    println!("{n} tokens, {kept} times all other items were found");
    assert!(n > 1_000 && kept * 100 >= n * 98, "{kept} of {n}");
}

#[test]
fn random_edits() {
    let mut random = Random(3);
    let all = super::files::scripts();
    let mut text = all[random.below(all.len())].1.clone();
    let pieces = [
        "{", "}", "(", ")", "[", "]", "#{", "\"", "`", "${", "'", "/*", "*/", "//", "///", "\n", "\r\n", "fn ", "let x = ", "|", "||", ".", "::",
        ",", ";", "🙂", "é", "\u{feff}", "#\"", "\"#", "\\", "1.", "0x", "!in", "import ", "\0",
    ];
    for i in 0..1000 {
        if i % 100 == 0 {
            text.clone_from(&all[random.below(all.len())].1);
        }
        let mut at = random.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        match random.below(3) {
            0 => text.insert_str(at, pieces[random.below(pieces.len())]),
            1 => {
                let mut end = (at + random.below(40)).min(text.len());
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.replace_range(at..end.max(at), "");
            }
            _ if at > text.len() / 2 => text.truncate(at),
            _ => {}
        }
        let script = read(&text);
        let _ = site(&script, at.min(text.len()));
    }
}

#[test]
fn every_beginning_of_a_text() {
    let text = "import \"std/flow\" as flow;\nfn f(a, b) {\n    let x = #{ a: `v${a.b(|c| c + 1):.3}w`, 'b': \"é🙂\" };\n    x[.., 1:2].sum(-1) /* c */ @ b // d\n}\n";
    for (i, _) in text.char_indices() {
        read(&text[..i]);
        read(&text[i..]);
    }
}

#[test]
fn open_comments_strings_and_templates_cost_what_follows_alone() {
    let names = |text: &str| -> Vec<String> {
        let s = read(text);
        s.items.iter().map(|i| i.name(&s).to_owned()).collect()
    };
    assert_eq!(names("fn a() { \"open }\nfn b() {}\nfn c() {}"), ["a", "b", "c"]);
    assert_eq!(names("fn a() { 'open }\nfn b() {}"), ["a", "b"]);
    assert_eq!(names("fn a() { 1 }\nfn b() { /* open }\nfn c() {}"), ["a", "b"]);
    assert_eq!(names("fn a() { 1 }\nfn b() { `open }\nfn c() {}"), ["a", "b"]);
    assert_eq!(names("fn a() { f(#{ x: [1, }\nfn b() {}\nprivate fn c(x, \nfn d() {}\nconst E = (1;\nfn f() {}"), ["a", "b", "c", "d", "E", "f"]);
    assert_eq!(faults(&read("fn a() { \"open }\nfn b() { /* open }")).len(), 4);
    assert_eq!(names("\u{feff}fn a() {}\r\nfn b() {}\r\n"), ["a", "b"]);
}

#[test]
fn a_text_in_parts_is_the_whole_text() {
    for (path, text) in super::files::scripts() {
        let script = Script::new(text.as_str());
        let parts = script.parts();
        assert_eq!(parts.iter().map(|r| &text[r.clone()]).collect::<String>(), text, "{}", path.display());
        let functions = text.lines().filter(|l| l.starts_with("fn ") || l.starts_with("private fn ")).count();
        assert!(parts.len() >= functions, "{}", path.display());
    }
}

#[test]
fn long_and_deep_texts() {
    let mut long = String::new();
    for i in 0..65_536 / 4 {
        long.push_str(&format!("fn f{i}(a, b) {{\n    let c = a + b;\n    f{i}(c, |x| x + c)\n}}\n"));
    }
    let script = read(&long);
    assert_eq!((script.lines.count(), script.items.len()), (65_537, 16_384));
    for open in ["(", "[", "{", "#{", "`${", "|x| ", "f(|x| {", "/*", "if a {", "x.", "!", "-"] {
        read(&open.repeat(100_000));
        read(&format!("fn f() {{ {} }}\nfn g() {{}}", open.repeat(5_000)));
    }
}
