//! What stands where in a unit: functions, the closures in them, constants, and which of them each names.
//!
//! From one version of a script to the next, a function is known by its name, a closure by what it stands in and what it is given to.

use super::scan::{Extent, Scan, Word};
use crate::script::lang::diagnose::is_closure;
use rhai::{AST, ASTNode, Array, Dynamic, Expr, FnPtr, Map, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The statements of a script that runs from top to bottom.
    Top,
    Function {
        name: String,
        arity: usize,
    },
    Constant(String),
    Closure,
}

/// A function, closure or constant.
#[derive(Debug)]
pub(crate) struct Node {
    pub kind: Kind,
    /// What a closure stands in.
    pub parent: Option<usize>,
    pub line: usize,
    /// Its text without blanks, comments and the closures in it.
    pub text: String,
    /// Functions and constants of the unit that it may name.
    pub names: BTreeSet<String>,
    /// What it may name of other modules: the module's name in this unit, and the name there.
    pub foreign: BTreeSet<(String, String)>,
    /// The same with the numbers of the marks where they stand, to tell what is still to come of a function that runs.
    places: Vec<Word>,
    /// Of a closure: what it is given to, exactly and for people.
    pub target: String,
    pub given_to: String,
    /// The parameters that it declares.
    pub params: Vec<String>,
    /// The variables that it takes with it, in rhai's order.
    pub captures: Vec<String>,
    /// What rhai calls it, and a pointer to it.
    pub pointer: Option<FnPtr>,
    /// From its first mark to behind its last.
    span: (usize, usize),
}

/// The nodes of one version of a unit.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub nodes: Vec<Node>,
    closures: BTreeMap<String, usize>,
    by_name: BTreeMap<String, Vec<usize>>,
}

impl Shape {
    /// Reads a unit. `is_notebook`: its statements run from top to bottom.
    pub(crate) fn of(ast: &AST, text: &str, is_notebook: bool) -> Self {
        let scan = Scan::new(text);
        let extents = scan.closures();
        let mut shape = Shape::default();
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for f in ast.iter_fn_def().filter(|f| !is_closure(&f.name)) {
            let Some(open) = scan.at(f.body.start_position()) else { continue };
            let span = (open, scan.behind(open));
            let params = f.params.iter().map(ToString::to_string).collect();
            let kind = Kind::Function { name: f.name.to_string(), arity: f.params.len() };
            shape.add(&scan, kind, span, &extents, params);
            spans.push((head_of(&scan, open), span.1));
        }
        for (name, at) in constants(ast) {
            let Some(start) = scan.at(at) else { continue };
            shape.add(&scan, Kind::Constant(name), (start, statement_end(&scan, start)), &extents, Vec::new());
        }
        if is_notebook {
            shape.add_top(&scan, &extents, spans);
        }
        shape.add_closures(&scan, ast, &extents);
        for (i, node) in shape.nodes.iter().enumerate() {
            if let Kind::Function { name, .. } | Kind::Constant(name) = &node.kind {
                shape.by_name.entry(name.clone()).or_default().push(i);
            }
        }
        let Shape { nodes, by_name, .. } = &mut shape;
        nodes.iter_mut().for_each(|n| n.names.retain(|name| by_name.contains_key(name)));
        shape
    }

    fn add(&mut self, scan: &Scan, kind: Kind, span: (usize, usize), extents: &[Extent], params: Vec<String>) {
        let inside: Vec<&Extent> = direct(extents, span);
        let mut text = scan.without(span.0, span.1, inside.iter().copied());
        if let Kind::Function { .. } = &kind {
            text.insert_str(0, &format!("{}:", params.join(",")));
        }
        let places = scan.words(span.0, span.1, &inside);
        self.push(scan, kind, span, text, places, params);
    }

    fn push(&mut self, scan: &Scan, kind: Kind, span: (usize, usize), text: String, places: Vec<Word>, params: Vec<String>) {
        let names = places.iter().filter(|w| w.module.is_none()).map(|w| w.text.clone()).collect();
        let foreign = places.iter().filter_map(|w| Some((w.module.clone()?, w.text.clone()))).collect();
        self.nodes.push(Node {
            kind,
            parent: None,
            line: scan.line(span.0),
            text,
            names,
            foreign,
            places,
            target: String::new(),
            given_to: String::new(),
            params,
            captures: Vec::new(),
            pointer: None,
            span,
        });
    }

    /// The statements outside of functions.
    fn add_top(&mut self, scan: &Scan, extents: &[Extent], mut functions: Vec<(usize, usize)>) {
        functions.sort_unstable();
        functions.push((scan.marks.len(), scan.marks.len()));
        let (mut text, mut places, mut from) = (String::new(), Vec::new(), 0);
        for (start, end) in functions {
            if from < start {
                let inside = direct(extents, (from, start));
                text.push_str(&scan.without(from, start, inside.iter().copied()));
                places.extend(scan.words(from, start, &inside));
            }
            from = end.max(from);
        }
        self.push(scan, Kind::Top, (0, scan.marks.len()), text, places, Vec::new());
    }

    fn add_closures(&mut self, scan: &Scan, ast: &AST, extents: &[Extent]) {
        let pointers = pointers(ast);
        // Which closure of the parser each extent is: its body begins in it, and in none that is further inside.
        let mut names: Vec<Option<(String, Vec<String>)>> = vec![None; extents.len()];
        for f in ast.iter_fn_def().filter(|f| is_closure(&f.name)) {
            let Some(at) = scan.at(f.body.start_position()) else { continue };
            let inner = extents.iter().enumerate().filter(|(_, e)| e.body <= at && at < e.end).max_by_key(|(_, e)| e.start);
            let all: Vec<String> = f.params.iter().map(ToString::to_string).collect();
            if let Some((n, e)) = inner
                && all.ends_with(&e.params)
            {
                names[n] = Some((f.name.to_string(), all));
            }
        }
        let mut node_of: Vec<Option<usize>> = vec![None; extents.len()];
        for (n, e) in extents.iter().enumerate() {
            let around = extents[..n].iter().enumerate().filter(|(_, o)| o.start < e.start && e.end <= o.end).max_by_key(|(_, o)| o.start);
            let parent = match around {
                Some((outer, _)) => node_of[outer],
                None => self.enclosing(e.start),
            };
            self.add(scan, Kind::Closure, (e.start, e.end), &inside_of(extents, n), e.params.clone());
            let me = self.nodes.len() - 1;
            node_of[n] = Some(me);
            let (target, given_to) = scan.target(e, around.map_or(0, |(_, outer)| outer.body));
            let node = &mut self.nodes[me];
            (node.parent, node.target, node.given_to) = (parent, target, given_to);
            if let Some((name, all)) = names[n].take() {
                node.captures = all[..all.len() - e.params.len()].to_vec();
                node.pointer = pointers.get(&name).cloned();
                self.closures.insert(name, me);
            }
        }
    }

    /// The function, constant or statements that a mark stands in.
    fn enclosing(&self, mark: usize) -> Option<usize> {
        let holds = |n: &Node| n.kind != Kind::Closure && n.span.0 <= mark && mark < n.span.1;
        self.nodes.iter().enumerate().filter(|(_, n)| holds(n)).min_by_key(|(_, n)| n.span.1 - n.span.0).map(|(i, _)| i)
    }

    /// The node of a closure by what rhai calls it.
    pub(crate) fn closure(&self, name: &str) -> Option<usize> {
        self.closures.get(name).copied()
    }

    /// The functions and constants of a name.
    pub(crate) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = usize> + 'a {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    /// The closures that stand directly in a node, in the order of the text.
    pub(crate) fn children(&self, of: Option<usize>) -> Vec<usize> {
        let is = |n: &Node| n.kind == Kind::Closure && n.parent == of;
        self.nodes.iter().enumerate().filter(|(_, n)| is(n)).map(|(i, _)| i).collect()
    }

    /// The node around a position in the text.
    pub(crate) fn around(&self, text: &str, position: Position) -> Option<(usize, usize)> {
        let mark = Scan::new(text).at(position)?;
        let holds = |n: &Node| n.span.0 <= mark && mark < n.span.1;
        let node = self.nodes.iter().enumerate().filter(|(_, n)| holds(n)).min_by_key(|(_, n)| n.span.1 - n.span.0)?.0;
        Some((node, mark))
    }

    /// What a node that is at `mark` may call from there on, inside of the outermost loop around it also before: functions of this unit,
    /// and what it may name of other modules.
    pub(crate) fn to_come(&self, node: usize, mark: usize, text: &str) -> (BTreeSet<String>, BTreeSet<(String, String)>) {
        let from = loop_around(&Scan::new(text), self.nodes[node].span.0, mark);
        let (mut called, mut foreign) = (BTreeSet::new(), BTreeSet::new());
        for word in self.nodes[node].places.iter().filter(|w| w.at >= from) {
            match &word.module {
                Some(module) => drop(foreign.insert((module.clone(), word.text.clone()))),
                None if word.is_call => drop(called.insert(word.text.clone())),
                None => {}
            }
        }
        (called, foreign)
    }

    /// The first mark in a node where it may call a function of this unit, or of `module`, by name.
    pub(crate) fn call_of(&self, node: usize, module: Option<&str>, name: &str) -> Option<usize> {
        self.nodes[node].places.iter().find(|w| w.is_call && w.module.as_deref() == module && w.text == name).map(|w| w.at)
    }

    /// The line in which a node ends.
    pub(crate) fn end_line(&self, node: usize, text: &str) -> usize {
        Scan::new(text).line(self.nodes[node].span.1.saturating_sub(1))
    }

    /// Where a node begins.
    pub(crate) fn start(&self, node: usize) -> usize {
        self.nodes[node].span.0
    }
}

impl Node {
    /// `step(run, batch)`; of a closure what it is given to.
    pub(crate) fn signature(&self) -> String {
        match &self.kind {
            Kind::Function { name, .. } => format!("{name}({})", self.params.join(", ")),
            Kind::Constant(name) => name.clone(),
            Kind::Closure if self.given_to.is_empty() => format!("|{}|", self.params.join(", ")),
            Kind::Closure => self.given_to.clone(),
            Kind::Top => String::new(),
        }
    }

    /// As messages name it: `step`, `closure of main at line 14`.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            Kind::Function { name, .. } | Kind::Constant(name) => format!("`{name}`"),
            Kind::Closure if !self.given_to.is_empty() => format!("`{}`", self.given_to),
            Kind::Closure => "a closure".into(),
            Kind::Top => "the script itself".into(),
        }
    }
}

/// The outermost loop between `from` and `mark` that holds `mark`, or `mark` itself.
fn loop_around(scan: &Scan, from: usize, mark: usize) -> usize {
    for Word { at: i, text, .. } in scan.words(from, mark, &[]) {
        if !matches!(text.as_str(), "for" | "while" | "loop" | "do") {
            continue;
        }
        let body = (i..mark).find(|k| scan.marks[*k].code && scan.marks[*k].c == '{' && (*k == 0 || scan.marks[*k - 1].c != '#'));
        if body.is_some_and(|open| scan.behind(open) > mark) {
            return i;
        }
    }
    mark
}

/// The closures in a span that stand in no other of it.
fn direct(extents: &[Extent], (from, to): (usize, usize)) -> Vec<&Extent> {
    let mut out: Vec<&Extent> = Vec::new();
    for e in extents.iter().filter(|e| from <= e.start && e.end <= to && (e.start, e.end) != (from, to)) {
        if out.last().is_none_or(|last| e.start >= last.end) {
            out.push(e);
        }
    }
    out
}

fn inside_of(extents: &[Extent], n: usize) -> Vec<Extent> {
    extents[n + 1..].iter().filter(|e| e.end <= extents[n].end && e.start < extents[n].end).cloned().collect()
}

/// Where `private fn name(..)` begins before the body at `open`.
fn head_of(scan: &Scan, open: usize) -> usize {
    let mut i = open;
    while i > 0 {
        i -= 1;
        if let Some((start, word)) = scan.word_before(i)
            && word == "fn"
        {
            return match start.checked_sub(1).and_then(|last| scan.word_before(last)) {
                Some((private, word)) if word == "private" => private,
                _ => start,
            };
        }
    }
    open
}

fn statement_end(scan: &Scan, start: usize) -> usize {
    let mut i = start;
    while let Some(mark) = scan.marks.get(i) {
        match mark.c {
            ';' if mark.code => return i + 1,
            '(' | '[' | '{' if mark.code => i = scan.behind(i),
            _ => i += 1,
        }
    }
    i
}

fn constants(ast: &AST) -> Vec<(String, Position)> {
    let constant = |s: &Stmt| match s {
        Stmt::Var(x, _, at) => Some((x.0.name.to_string(), *at)),
        _ => None,
    };
    ast.statements().iter().filter_map(constant).collect()
}

/// A pointer to each closure, by what rhai calls it.
fn pointers(ast: &AST) -> BTreeMap<String, FnPtr> {
    fn collect(value: &Dynamic, found: &mut BTreeMap<String, FnPtr>) {
        if let Some(f) = value.read_lock::<FnPtr>() {
            if is_closure(f.fn_name()) {
                found.entry(f.fn_name().to_owned()).or_insert_with(|| f.clone());
            }
        } else if let Some(a) = value.read_lock::<Array>() {
            a.iter().for_each(|v| collect(v, found));
        } else if let Some(m) = value.read_lock::<Map>() {
            m.values().for_each(|v| collect(v, found));
        }
    }
    let mut found = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) = path.last() {
            collect(value, &mut found);
        }
        true
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        let engine = rhai::Engine::new();
        Shape::of(&engine.compile(text).unwrap(), text, false)
    }

    #[test]
    fn closures_have_their_names_parents_and_captures() {
        let text = "const A = |x| x + 1;\nprivate fn help(x) { x }\nfn main(cfg) {\n  let m = #{};\n  let k = 2;\n  m.forward = |x| x * k;\n  \
                    m.both = [|a| a, |b| |c| b + c + k];\n  m.each = || { help(3) };\n  m\n}";
        let s = shape(text);
        let closures: Vec<&Node> = s.nodes.iter().filter(|n| n.kind == Kind::Closure).collect();
        assert!(closures.iter().all(|n| n.pointer.is_some()), "{closures:?}");
        let captures: Vec<Vec<&str>> = closures.iter().map(|n| n.captures.iter().map(String::as_str).collect()).collect();
        assert_eq!(captures, [vec![], vec!["k"], vec![], vec!["k"], vec!["b", "k"], vec![]]);
        assert_eq!(closures.iter().map(|n| n.line).collect::<Vec<_>>(), [1, 6, 7, 7, 7, 8]);
        assert_eq!(closures.iter().map(|n| n.given_to.as_str()).collect::<Vec<_>>(), ["A", "m.forward", "m.both", "m.both", "", "m.each"]);
        let main = s.named("main").next().unwrap();
        assert_eq!(closures[1].parent, Some(main));
        assert_eq!(s.nodes[closures[4].parent.unwrap()].target, closures[3].target);
        assert!(closures[5].names.contains("help"));
        assert_eq!(s.nodes[main].text, "cfg:{letm=#{};letk=2;m.forward=\u{1};m.both=[\u{1},\u{1}];m.each=\u{1};m}");
    }

    #[test]
    fn blanks_comments_and_moved_lines_change_no_text() {
        let a = shape("fn f(x) { let y = x; // one\n  y.map(|v| v + 1) }");
        let b = shape("\n\nfn f(x) {\n  let y = x;\n  y.map( |v| v+1 ) /* two */ }");
        assert_eq!(a.nodes.iter().map(|n| &n.text).collect::<Vec<_>>(), b.nodes.iter().map(|n| &n.text).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_to_come_begins_at_the_outermost_loop() {
        let text = "fn main() { make(); for i in 0..3 { early(); fit(); late(); } end(); }";
        let s = shape(text);
        let at = Position::new(1, 1 + text.find("fit").unwrap() as u16);
        let (node, mark) = s.around(text, at).unwrap();
        let (names, _) = s.to_come(node, mark, text);
        assert!(["early", "late", "end"].iter().all(|n| names.contains(*n)) && !names.contains("make"), "{names:?}");
    }
}
