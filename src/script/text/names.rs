//! What a text declares, and what each name in it means.

use std::collections::HashMap;
use std::ops::Range;

/// How a name is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclKind {
    /// `fn name`
    Function,
    /// A parameter of a function.
    Parameter,
    /// A parameter of a closure.
    ClosureParameter,
    /// `let name`
    Variable,
    /// `const name`
    Constant,
    /// `for name in`
    Loop,
    /// `catch (name)`
    Caught,
    /// `import "path" as name`
    Module,
}

/// A declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decl {
    /// How.
    pub kind: DeclKind,
    /// The name's place, in bytes.
    pub name: Range<usize>,
    /// The part of the text in which it can be used, in bytes.
    pub visible: Range<usize>,
    /// The numbers of the tokens of the value that it begins with.
    pub value: Range<usize>,
    /// The number of its item, for what stands at the top level.
    pub item: Option<usize>,
    /// Whether it stands at the top level.
    pub top: bool,
}

/// What a name is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UseKind {
    /// A variable's value.
    Variable,
    /// A function that is called.
    Call,
    /// The part before `::`.
    Module,
    /// The part behind `::`; with whether it is called.
    Member(bool),
    /// Behind a dot; with whether it is called.
    Property(bool),
    /// The key of a map.
    Key,
}

/// A use of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// As what.
    pub kind: UseKind,
    /// The name's place, in bytes.
    pub at: Range<usize>,
    /// The number of the name's token.
    pub token: usize,
    /// The number of its declaration in this text. For a member, that of its module.
    pub decl: Option<usize>,
}

/// Every declaration and use of a text.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// In the order of the text, functions first.
    pub decls: Vec<Decl>,
    /// In the order of the text.
    pub uses: Vec<Use>,
    /// Functions by name.
    pub(super) functions: HashMap<String, Vec<usize>>,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At<'a> {
    /// The name of a declaration, and its number.
    Decl(usize, &'a Decl),
    /// A use.
    Use(&'a Use),
}

impl Names {
    /// What stands at a byte, or ends there.
    pub fn at(&self, offset: usize) -> Option<At<'_>> {
        let holds = |r: &Range<usize>| r.start <= offset && offset <= r.end;
        let i = self.uses.partition_point(|u| u.at.end < offset);
        let found = self.uses.get(i..).unwrap_or_default().iter().take_while(|u| u.at.start <= offset).find(|u| holds(&u.at));
        found.map(At::Use).or_else(|| self.decls.iter().enumerate().find(|(_, d)| holds(&d.name)).map(|(i, d)| At::Decl(i, d)))
    }

    /// The functions of that name, with the numbers of their declarations.
    pub fn functions(&self, name: &str) -> &[usize] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The uses of a declaration as a variable, function or module.
    pub fn uses_of(&self, decl: usize) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(move |u| u.decl == Some(decl) && !matches!(u.kind, UseKind::Member(_)))
    }

    /// What can be named at a byte: the innermost first, each name once.
    pub fn visible<'a>(&'a self, source: &'a str, offset: usize) -> Vec<(usize, &'a Decl)> {
        let mut seen: Vec<(&str, bool)> = Vec::new();
        let mut out = Vec::new();
        for (i, decl) in self.decls.iter().enumerate().rev() {
            let name = source.get(decl.name.clone()).unwrap_or_default();
            let is_variable = !matches!(decl.kind, DeclKind::Function | DeclKind::Module);
            if decl.visible.start <= offset && offset <= decl.visible.end && !(is_variable && seen.contains(&(name, true))) {
                seen.push((name, is_variable));
                out.push((i, decl));
            }
        }
        out
    }
}
