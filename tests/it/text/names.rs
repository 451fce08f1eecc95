//! Names against rhai's own parser, over every script.

use lathe::script::text::names::UseKind;
use lathe::script::text::script::Script;
use rhai::{ASTNode, Engine, Expr, OptimizationLevel, Position, Token};
use std::cell::Cell;
use std::collections::BTreeMap;

/// A parser of the language without several indices and formats.
fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_expr_depths(128, 128);
    engine.register_custom_operator("@", 180).unwrap();
    let after_dot = Cell::new(false);
    #[allow(deprecated)]
    engine.on_parse_token(move |token, _, _| {
        let method = after_dot.replace(matches!(token, Token::Period | Token::Elvis));
        match token {
            Token::Reserved(w) if *w == "var" || *w == "eval" => Token::Identifier(w),
            Token::Reserved(w) if method && (*w == "module" || *w == "call") => Token::Identifier(Box::new(format!("{w}x").into())),
            other => other,
        }
    });
    engine
}

#[test]
fn variables_are_those_of_the_parser() {
    let engine = engine();
    let (mut n, mut parsed, mut refused, mut unresolved) = (0, 0, 0, Vec::new());
    for (path, text) in super::files::scripts() {
        let Ok(ast) = engine.compile(&text) else {
            refused += 1;
            continue;
        };
        parsed += 1;
        let script = Script::new(text.as_str());
        let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        let offset = |p: Position| {
            let start = starts[p.line().unwrap() - 1];
            start + text[start..].char_indices().nth(p.position().unwrap() - 1).unwrap().0
        };
        let mine: BTreeMap<usize, (UseKind, bool)> = script.names.uses.iter().map(|u| (u.at.start, (u.kind, u.decl.is_some()))).collect();
        ast.walk(&mut |nodes: &[ASTNode]| {
            if let Some(ASTNode::Expr(Expr::Variable(x, _, at))) = nodes.last() {
                if x.1.as_str() == "this" || !x.2.is_empty() {
                    return true;
                }
                n += 1;
                match mine.get(&offset(*at)) {
                    Some((UseKind::Variable, true)) => {}
                    found => unresolved.push(format!("{}:{at:?} {}: {found:?}", path.display(), x.1)),
                }
            }
            true
        });
    }
    println!("{parsed} files, {n} variables, {refused} files that the plain parser refuses, unresolved: {unresolved:#?}");
    assert!(parsed > 100 && n > 5000);
    assert!(unresolved.is_empty());
}

#[test]
fn names_mean_the_innermost_declaration() {
    let text = "import \"std/flow\" as flow;\nconst N = 3;\nfn f(a, b) {\n    let c = a + b;\n    let c = c + 1;\n    for (x, i) in c { g(x, i, c); }\n    let h = |x| x + c;\n    \
                try { h.call(1) } catch (e) { print(e); }\n    `${a:.3} ${c}`\n    #{ c: c, d: flow::loss(N) }\n}\nfn g(x, y, z) { global::N }\nf(1, 2);\nfn g(x) { x }\nlet q = g(1) + g(1, 2, 3);";
    let s = Script::new(text);
    let mut shown = Vec::new();
    for u in &s.names.uses {
        let name = s.slice(u.at.clone());
        let decl = u.decl.map(|d| s.place(s.names.decls[d].name.start, lathe::script::text::lines::Columns::Chars).line);
        shown.push(format!("{name}:{:?}", decl.map_or("-".into(), |l| l.to_string())).replace('"', ""));
    }
    let all = shown.join(" ");
    let wanted =
        "a:2 b:2 c:3 c:4 g:11 x:5 i:5 c:4 x:6 c:4 h:6 call:- print:- e:7 a:2 c:4 c:- c:4 d:- flow:0 loss:0 N:- global:- N:1 f:2 x:13 g:13 g:11";
    assert_eq!(all, wanted);
}

#[test]
fn a_fault_costs_its_own_function_alone() {
    let text = "fn a(x) {\n    foo((x;\n}\n\nfn b(y) {\n    y + \"open;\n    y\n}\n\nfn c(z) { z }\n";
    let s = Script::new(text);
    let names: Vec<String> = s.items.iter().map(|i| i.signature(&s)).collect();
    assert_eq!(names, ["a(x)", "b(y)", "c(z)"]);
    assert!(s.names.uses.iter().filter(|u| u.kind == UseKind::Variable).all(|u| u.decl.is_some()));
}
