//! What a user means by a name or a word.

use super::item::{Item, Kind, Page, PageKind};
use super::reference::Reference;
use crate::error::{Error, Result, nearest};

/// What a name stands for.
#[derive(Debug)]
pub enum Found<'a> {
    /// A whole page, and what else has the same name.
    Page(&'a Page, Vec<&'a Item>),
    /// One thing, or several of that name: `matmul` is a method and an operator.
    Items(Vec<&'a Item>),
}

impl Reference {
    /// What a name stands for: `torch::op`, `tensor.matmul`, `matmul`, `std/flow`, `flow::score`, `torch`, `+`.
    ///
    /// # Errors
    /// `E0101` for a name that nothing has, with the nearest.
    pub fn find(&self, name: &str) -> Result<Found<'_>> {
        let wanted = self.normal(name);
        let page = self.pages().iter().find(|p| p.name == wanted).or_else(|| self.pages().iter().find(|p| is_page(p, &wanted)));
        let items: Vec<&Item> = match page {
            Some(_) => self.items().filter(|i| i.name == wanted).collect(),
            None => self.named(&wanted),
        };
        match (page, items.is_empty()) {
            (Some(page), _) => Ok(Found::Page(page, items)),
            (None, false) => Ok(Found::Items(items)),
            (None, true) => Err(self.unknown(name, &wanted)),
        }
    }

    /// `torch.op` is what people type as well as `torch::op`, and `Tensor::sum` as well as `tensor.sum`.
    fn normal(&self, name: &str) -> String {
        let name = name.trim().trim_end_matches("()");
        let is_namespace = |ns: &str| self.pages().iter().any(|p| p.kind == PageKind::Namespace && p.name == ns);
        let is_type = |ty: &str| self.pages().iter().any(|p| matches!(p.kind, PageKind::Type | PageKind::Model) && p.name == ty.to_lowercase());
        let is_of_model = |f: &str| self.pages().iter().any(|p| p.kind == PageKind::Model && p.items.iter().any(|i| i.name == f));
        match (name.split_once('.'), name.split_once("::")) {
            // A method of some modules only is found as one of any module.
            (Some(("module", f)), _) if is_of_model(f) => f.to_owned(),
            (Some((ns, rest)), _) if is_namespace(ns) => format!("{ns}::{rest}"),
            (_, Some((ty, rest))) if is_type(ty) && !rest.is_empty() => format!("{}.{rest}", ty.to_lowercase()),
            _ => name.to_owned(),
        }
    }

    /// Exact names go before those that differ in case.
    fn named(&self, wanted: &str) -> Vec<&Item> {
        let full: Vec<&Item> = self.items().filter(|i| names(i).any(|n| n == wanted)).collect();
        if !full.is_empty() {
            return full;
        }
        let lower = wanted.to_lowercase();
        self.items().filter(|i| names(i).any(|n| n.to_lowercase() == lower)).collect()
    }

    fn unknown(&self, given: &str, wanted: &str) -> Error {
        let pages = self.pages().iter().map(|p| p.name.as_str());
        let full: Vec<String> = self.items().flat_map(names).collect();
        let near = nearest(wanted, pages.chain(full.iter().map(String::as_str)));
        let near = near.map_or(String::new(), |n| format!(", did you mean `{}`?", self.shown(n)));
        let word = wanted.rsplit([':', '.', '/']).next().unwrap_or(wanted);
        Error::usage(format!("nothing is called `{given}`{near}"))
            .help(format!("`lathe doc --search {word}` looks in all texts, `lathe doc` lists the pages"))
    }

    /// The full name behind a bare one, if it is the only one.
    fn shown(&self, name: &str) -> String {
        let mut ids = self.items().filter(|i| i.name == name).map(|i| i.id.clone());
        match (ids.next(), ids.next()) {
            (Some(id), None) => id,
            _ => name.to_owned(),
        }
    }

    /// Everything whose name or text has all of the words, the best first: in the name, in the summary, further down.
    pub fn search(&self, words: &str) -> Vec<&Item> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let mut found: Vec<(usize, &Item)> = self.items().filter_map(|i| Some((rank(i, &words)?, i))).collect();
        found.sort_by_key(|(rank, item)| (*rank, item.id.to_lowercase()));
        found.into_iter().map(|(_, item)| item).collect()
    }
}

/// The names by which a thing can be asked for.
fn names(item: &Item) -> impl Iterator<Item = String> + use<'_> {
    let id = item.id.clone();
    // `flow::score` for `std/flow::score`.
    let short = item.id.rsplit_once('/').map(|(_, tail)| tail.to_owned());
    let operator = (item.kind == Kind::Operator && item.name == "[]=").then(|| "[]".to_owned());
    [Some(id), short, Some(item.name.clone()), operator].into_iter().flatten()
}

/// `Tensor`, `torch::`, `flow`, `std/flow.rhai`.
fn is_page(page: &Page, wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches("::").trim_end_matches(".rhai");
    let short = page.name.rsplit('/').next().unwrap_or(&page.name);
    page.name == wanted || (page.kind == PageKind::Type && page.name == wanted.to_lowercase()) || short == wanted
}

/// Where the words are found; `None` when one of them is not there at all.
fn rank(item: &Item, words: &[String]) -> Option<usize> {
    let (id, summary) = (item.id.to_lowercase(), item.doc.summary.to_lowercase());
    let name = item.name.to_lowercase();
    let body = item.markdown().to_lowercase();
    let one = |w: &String| match () {
        () if name == *w => Some(0),
        () if id.contains(w.as_str()) => Some(1),
        () if summary.contains(w.as_str()) => Some(2),
        () if body.contains(w.as_str()) => Some(3),
        () => None,
    };
    words.iter().map(one).collect::<Option<Vec<_>>>()?.into_iter().max()
}
