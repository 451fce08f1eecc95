//! The lexer against rhai's own, over every script.

use lathe::script::text::lexer::lex;
use lathe::script::text::token::{Bracket, Kind, Token};
use rhai::{Engine, Position, Token as Rhai};
use std::path::Path;

/// rhai's tokens with the offsets of their beginnings; templates are followed as its parser does.
fn rhai_tokens(engine: &Engine, text: &str) -> Vec<(Rhai, usize)> {
    let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
    let offset = |p: Position| {
        let start = starts[p.line().unwrap() - 1];
        text[start..].char_indices().nth(p.position().unwrap_or(1) - 1).map_or(text.len(), |(i, _)| start + i)
    };
    let inputs = [text];
    let (mut tokens, control) = engine.lex(&inputs);
    let (mut out, mut open, mut last_end) = (Vec::new(), Vec::new(), 0);
    for (token, at) in tokens.by_ref() {
        match &token {
            Rhai::EOF => break,
            Rhai::Comment(_) => continue,
            Rhai::LeftBrace => open.push(matches!(out.last(), Some((Rhai::InterpolatedString(_), _)))),
            Rhai::MapStart => open.push(false),
            Rhai::RightBrace => control.borrow_mut().is_within_text = open.pop() == Some(true),
            _ => {}
        }
        // The text behind `}` of a template begins there, if it is empty it has no place.
        let start = if matches!(out.last(), Some((Rhai::RightBrace, _)))
            && matches!(token, Rhai::StringConstant(_) | Rhai::InterpolatedString(_))
            && last_end > 0
        {
            last_end
        } else {
            offset(at)
        };
        last_end = if token == Rhai::RightBrace && control.borrow().is_within_text { start + 1 } else { 0 };
        out.push((token, start));
    }
    out
}

fn fits(mine: Token, theirs: &Rhai, text: &str) -> bool {
    let written = mine.text(text);
    match (mine.kind, theirs) {
        (Kind::Word, Rhai::Identifier(s)) => s.as_str() == written,
        (Kind::Word, Rhai::Reserved(s)) => s.as_str() == written,
        (Kind::Underscore, Rhai::Underscore) | (Kind::Bool, Rhai::True | Rhai::False) => true,
        (Kind::Number, Rhai::IntegerConstant(i)) => written.replace('_', "").parse() == Ok(*i) || written.starts_with("0x"),
        (Kind::Number, Rhai::FloatConstant(f)) => written.replace('_', "").parse::<f64>() == Ok(*f.0),
        (Kind::Text | Kind::RawText | Kind::Template | Kind::TemplateTail, Rhai::StringConstant(_)) => true,
        (Kind::TemplateHead | Kind::TemplateMiddle, Rhai::InterpolatedString(_)) => written.ends_with('$'),
        (Kind::Char, Rhai::CharConstant(_)) => true,
        (Kind::Open(Bracket::Map), Rhai::MapStart) => true,
        (Kind::Prefix, Rhai::UnaryMinus | Rhai::UnaryPlus | Rhai::Bang) => true,
        (Kind::Operator | Kind::Range, Rhai::Custom(s) | Rhai::Reserved(s)) => s.as_str() == written,
        (Kind::Word | Kind::Text | Kind::Number | Kind::Fault(_), _) => false,
        (_, other) => other.is_literal() && other.literal_syntax() == written,
    }
}

fn equal(engine: &Engine, text: &str, path: &Path) {
    let mine: Vec<Token> = lex(text).into_iter().filter(|t| !t.is_comment()).collect();
    let mut mine = mine.into_iter().peekable();
    for (token, start) in rhai_tokens(engine, text) {
        let Some(own) = mine.next() else { panic!("{}: nothing for {token:?} at {start}", path.display()) };
        assert_eq!(own.start, start, "{}: {own:?} {:?} is not at the place of {token:?}", path.display(), own.text(text));
        if token == Rhai::Unit {
            assert_eq!((own.text(text), mine.next().map(|t| t.text(text))), ("(", Some(")")));
        } else {
            assert!(fits(own, &token, text), "{}: {own:?} {:?} is not {token:?}", path.display(), own.text(text));
        }
    }
    assert_eq!(mine.next(), None, "{}", path.display());
}

#[test]
fn tokens_are_those_of_rhai_in_every_script() {
    let mut engine = Engine::new_raw();
    engine.register_custom_operator("@", 180).unwrap();
    let mut n = 0;
    for (path, text) in super::files::scripts() {
        equal(&engine, &text, &path);
        n += 1;
    }
    println!("{n} files");
    assert!(n > 100);
}

#[test]
fn tokens_are_those_of_rhai_in_odd_texts() {
    let mut engine = Engine::new_raw();
    engine.register_custom_operator("@", 180).unwrap();
    for text in [
        "let x = -1 - -2 - 3; x -1; f()-1; a[-1]; #{a:-1}; 1 - -1.5e-3; return -1; !x; !in_a; a !in b; a! in b; 1..2; 1..=2; 1.; 1.max(2); 0xff_00; 1_000.5; 2e3; 2.e; f(-1)",
        "a ** -2; a**=2; a<<=1; a??b; a?.b; a?[0]; x[..]; x[..., 1]; a @ b; |x| -x; || -1; f(|x| x|y, || 1); a || b; a | b; switch x { 1 | 2 => -1, _ => 'a' }",
        "\"a\\\"b\"\"c\"; 'a'; '\\''; '\\u1234'; `a``b`; `a${b}c${ #{a: `x${1}y`}.a }d`; `${x}`; `${x}${y}`; `${ {1} }`; #\"raw \"quoted\" \"#; ##\"a\"#b\"##",
        "`\n a\n`; \"a\\\n   b\"; /* a /* b */ c */ x /// doc\n//! text\n/** doc */ fn f() {} // end",
        "let f = |a, b| { a | b }; f.call(1, 2) | 3; x.map(|v| v.map(|w| w | v)) ; print!(1); f!(2)",
        "`${x:.3} ${n:,} ${y:>8} ${z:08} ${p:.1%} ${q:x} ${r:+}`",
        "\"ü\" ; `日本 ${ \"🙂\" } ü`; x // 🙂\n + 1",
        "`d\\${e}`",
        "",
    ] {
        equal(&engine, text, Path::new(text));
    }
}
