//! The layout of scripts.

use lathe::script::text::format::{edits, format};
use lathe::script::text::lexer::lex;

fn tokens(text: &str) -> Vec<String> {
    lex(text).iter().map(|t| format!("{:?} {}", t.kind, t.text(text))).collect()
}

#[test]
fn every_script_keeps_its_tokens_and_is_laid_out() {
    let (mut files, mut wrong) = (0, Vec::new());
    for (path, text) in super::files::scripts() {
        let out = format(&text).unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
        assert_eq!(tokens(&out), tokens(&text), "{}", path.display());
        assert_eq!(format(&out).as_deref(), Ok(out.as_str()), "{}", path.display());
        if out != text {
            wrong.push(path.display().to_string());
        }
        files += 1;
    }
    assert!(files > 100 && wrong.is_empty(), "`lathe fmt scripts stdlib tests docs` lays out:\n{}", wrong.join("\n"));
}

#[test]
fn indentation_and_blanks_come_back_whatever_they_were() {
    let mut seed = 7u64;
    for (path, text) in super::files::scripts() {
        let wanted = format(&text).unwrap();
        let mut out = String::new();
        let mut end = 0;
        for token in lex(&text) {
            let gap = &text[end..token.start];
            if gap.contains('\n') {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let extra = if gap.matches('\n').count() > 1 { "\n \t\n\n" } else { "" };
                out.push_str(&format!("{}\n{extra}{}", if seed >> 63 == 1 { " \t" } else { "" }, " ".repeat((seed >> 33) as usize % 9)));
            } else if gap.is_empty() || token.is_comment() {
                out.push_str(gap);
            } else {
                out.push_str("   ");
            }
            out.push_str(token.text(&text));
            end = token.end;
        }
        assert_eq!(format(&out).unwrap(), wanted, "{}", path.display());
        // The changes alone make the same text of it, from the last to the first.
        let mut by_edits = out.clone();
        for (range, new) in edits(&out).unwrap().into_iter().rev() {
            assert!(by_edits[range.clone()].chars().all(char::is_whitespace));
            by_edits.replace_range(range, &new);
        }
        assert_eq!(by_edits, wanted, "{}", path.display());
    }
}

fn laid(text: &str, wanted: &str) {
    let out = format(text).unwrap();
    assert_eq!(out, wanted, "of {text:?}");
    assert_eq!(format(&out).unwrap(), wanted);
}

#[test]
fn blanks_between_tokens() {
    laid("let x=1+2 *-3;x=-x;y=!a&&b||c", "let x = 1 + 2 * -3; x = -x; y = !a && b || c\n");
    laid("f (a,b ,c) ;g( );x [ 0 ]; x[ 1 : 3 ,.., : , ::2 ]", "f(a, b, c); g(); x[0]; x[1:3, .., :, ::2]\n");
    laid("#{a:1,\"b\":[1,2]};#{ };{ }", "#{ a: 1, \"b\": [1, 2] }; #{}; { }\n");
    laid("a . b ?. c ( ) :: d;0 .. 5;a@b;a**2", "a.b?.c()::d; 0..5; a @ b; a ** 2\n");
    laid("x.map( | a , b |a|b ); f(||1); let f=|x|x", "x.map(|a, b| a | b); f(|| 1); let f = |x| x\n");
    laid("if(a){b}else{c}\nwhile x{y}", "if (a) { b } else { c }\nwhile x { y }\n");
    laid("`${ x :.3} ${ a+b } ${n:,}`", "`${x :.3} ${a + b} ${n:,}`\n");
    laid("switch x{1|2=>-1,_=>f!(2)}", "switch x { 1 | 2 => -1, _ => f!(2) }\n");
    laid("1. ..2; a - -1; a-1; f(-1); return -x; 2 .max(3)", "1. ..2; a - -1; a - 1; f(-1); return -x; 2.max(3)\n");
    laid("import\"a\"as b;export const N=1;fn f(a){a}", "import \"a\" as b; export const N = 1; fn f(a) { a }\n");
    laid("return [1];throw `x`;x in [1];return;a /* c */ + b//d", "return [1]; throw `x`; x in [1]; return; a /* c */ + b//d\n");
    laid("a;   // aligned\nbc;  // aligned", "a;   // aligned\nbc;  // aligned\n");
}

#[test]
fn lines_and_blank_lines() {
    laid("\n\nfn f() {\n\n\n  a;\n\n\n\n  b\n\n}\n\n\n", "fn f() {\n    a;\n\n    b\n}\n");
    laid("let x = a\n+ b\n.c();\nd", "let x = a\n    + b\n    .c();\nd\n");
    laid("f(a, #{\nb: 1,\nc: [\n1,\n2,\n],\n});", "f(a, #{\n    b: 1,\n    c: [\n        1,\n        2,\n    ],\n});\n");
    laid("if a\n&& b {\nc\n}\nelse {\nd\n}", "if a\n    && b {\n    c\n}\nelse {\n    d\n}\n");
    laid("switch x {\n1 => {\na\n}\n2 => b,\n_ =>\nc\n}", "switch x {\n    1 => {\n        a\n    }\n    2 => b,\n    _ =>\n        c\n}\n");
    laid("let f = g(|x| {\nx\n}, 1)\n.h(|y| {\ny\n});", "let f = g(|x| {\n    x\n}, 1)\n    .h(|y| {\n        y\n    });\n");
    laid("fn f() {\n// a\na;\n// last\n}\n// end", "fn f() {\n    // a\n    a;\n    // last\n}\n// end\n");
    laid("{\n/* a\n  b */\nlet s = `\n x\n  ${\ny\n}`;\n}", "{\n    /* a\n  b */\n    let s = `\n x\n  ${\n        y\n    }`;\n}\n");
    laid("", "");
    laid(" \n \n", "");
    laid("\u{feff}fn f(){\r\na;\r\n\r\n\r\nb // c\r\n}", "\u{feff}fn f() {\r\n    a;\r\n\r\n    b // c\r\n}\r\n");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    for (text, line, column, word) in [
        ("a;\nf(b;", 1, 1, "`(` is not closed"),
        ("a }", 0, 2, "closes nothing"),
        ("'ü' \"abc\nd", 0, 4, "closing `\"`"),
        ("a /* b", 0, 2, "*/"),
        ("`a ${b", 0, 4, "not closed"),
        ("`a", 0, 0, "backtick"),
        ("(a]", 0, 0, "not closed"),
        ("a § b", 0, 2, "no part of the language"),
    ] {
        let e = format(text).unwrap_err();
        assert_eq!((e.at.line, e.at.column), (line, column), "{text:?}: {e:?}");
        assert!(e.message.contains(word), "{text:?}: {e:?}");
    }
}
