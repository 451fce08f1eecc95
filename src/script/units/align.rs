//! Which function or closure of one version of a unit is which of another.
//!
//! A function is the one of its name. A closure stands in something, and is given to something (`m.forward = ..`, the second argument
//! of `fit`): that is who it is, as it would be after a restart. Where a text says the same of several, they are told by their order if
//! there are as many as before, else only by what they do.

use super::shape::{Kind, Node, Shape};
use std::collections::BTreeMap;

/// For each node of the old shape, the one of the new shape.
pub(crate) fn align(old: &Shape, new: &Shape) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; old.nodes.len()];
    let of_kind = |kind: &Kind| new.nodes.iter().position(|n| n.kind == *kind);
    for (i, node) in old.nodes.iter().enumerate() {
        found[i] = match &node.kind {
            Kind::Closure => None,
            Kind::Function { name, .. } => of_kind(&node.kind).or_else(|| {
                // One that takes more or fewer now, unless another version of it is meant.
                let only = |shape: &Shape| shape.named(name).count() == 1;
                (only(old) && only(new)).then(|| new.named(name).next()).flatten()
            }),
            kind => of_kind(kind),
        };
    }
    let mut parents: Vec<(Option<usize>, Option<usize>)> = vec![(None, None)];
    parents.extend(found.iter().enumerate().filter_map(|(i, n)| Some((Some(i), Some((*n)?)))));
    while let Some((a, b)) = parents.pop() {
        let (before, after) = (old.children(a), new.children(b));
        for (x, y) in pairs(old, new, &before, &after) {
            found[x] = Some(y);
            parents.push((Some(x), Some(y)));
        }
    }
    found
}

/// How well two closures fit; `None` when they cannot be the same.
fn fit(a: &Node, b: &Node, counts: &BTreeMap<&str, (usize, usize)>) -> Option<u32> {
    let same_text = a.text == b.text;
    let same_number = counts.get(a.target.as_str()).is_some_and(|(x, y)| x == y);
    match a.target == b.target {
        true if same_text => Some(6),
        // Of several that are given to the same, one is gone or new: which, only their texts tell.
        true => same_number.then_some(4),
        false if same_text => Some(3),
        // Given to something else, and another text: a renamed variable, where it stands alone between its neighbours.
        false => None,
    }
}

/// The pairs of two lists of closures, in order, that fit best.
fn pairs(old: &Shape, new: &Shape, before: &[usize], after: &[usize]) -> Vec<(usize, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    before.iter().for_each(|i| counts.entry(&old.nodes[*i].target).or_default().0 += 1);
    after.iter().for_each(|i| counts.entry(&new.nodes[*i].target).or_default().1 += 1);
    let score = |i: usize, j: usize| fit(&old.nodes[before[i]], &new.nodes[after[j]], &counts);
    let (n, m) = (before.len(), after.len());
    let mut best = vec![vec![0u32; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            let both = score(i, j).map_or(0, |s| s + best[i + 1][j + 1]);
            best[i][j] = both.max(best[i + 1][j]).max(best[i][j + 1]);
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    // Those between two pairs: one on each side is the same closure, given to a variable of another name.
    let mut gap: (Vec<usize>, Vec<usize>) = Default::default();
    let close = |gap: &mut (Vec<usize>, Vec<usize>), out: &mut Vec<(usize, usize)>| {
        let (a, b) = std::mem::take(gap);
        if let ([a], [b]) = (&a[..], &b[..])
            && counts.get(old.nodes[*a].target.as_str()).is_some_and(|c| c.1 == 0)
            && counts.get(new.nodes[*b].target.as_str()).is_some_and(|c| c.0 == 0)
            && old.nodes[*a].params.len() == new.nodes[*b].params.len()
        {
            out.push((*a, *b));
        }
    };
    while i < n && j < m {
        if score(i, j).is_some_and(|s| best[i][j] == s + best[i + 1][j + 1]) {
            close(&mut gap, &mut out);
            out.push((before[i], after[j]));
            (i, j) = (i + 1, j + 1);
        } else if best[i][j] == best[i + 1][j] {
            gap.0.push(before[i]);
            i += 1;
        } else {
            gap.1.push(after[j]);
            j += 1;
        }
    }
    gap.0.extend(&before[i..]);
    gap.1.extend(&after[j..]);
    close(&mut gap, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        Shape::of(&rhai::Engine::new().compile(text).unwrap(), text, false)
    }

    /// The texts of the new closures in place of the old ones, in the old order; `-` for one that is gone.
    fn followed(old: &str, new: &str) -> Vec<String> {
        let (a, b) = (shape(&format!("fn main() {{ {old} }}")), shape(&format!("fn main() {{ {new} }}")));
        let map = align(&a, &b);
        let closures = a.nodes.iter().enumerate().filter(|(_, n)| n.kind == Kind::Closure);
        closures.map(|(i, _)| map[i].map_or("-".to_owned(), |j| b.nodes[j].text.clone())).collect()
    }

    #[test]
    fn closures_are_followed_by_what_they_are_given_to() {
        // An edited body; a new one before it; two whose bodies are exchanged; one that is gone.
        assert_eq!(followed("m.f = |x| x;", "m.f = |x| x * 2;"), ["|x|x*2"]);
        assert_eq!(followed("m.f = |x| x;", "m.g = |x| 0; m.f = |x| x * 2;"), ["|x|x*2"]);
        assert_eq!(followed("a.f = |x| 1; b.f = |x| 2;", "a.f = |x| 2; b.f = |x| 1;"), ["|x|2", "|x|1"]);
        assert_eq!(followed("a.f = |x| 1; b.f = |x| 2;", "b.f = |x| 3;"), ["-", "|x|3"]);
        // Elements and arguments by their number.
        assert_eq!(followed("let f = [|x| 1, |x| 2];", "let f = [|x| 0, |x| 1, |x| 2];"), ["|x|0", "|x|1"]);
        assert_eq!(followed("g(1, |x| 1);", "g([2], |x| 2);"), ["|x|2"]);
        // A variable of another name.
        assert_eq!(followed("m.f = |x| 1;", "net.f = |x| 2;"), ["|x|2"]);
        assert_eq!(followed("m.f = |x| 1;", "net.f = |x, y| 2;"), ["-"]);
        // Several given to the same.
        assert_eq!(followed("m.f = |x| 1; m.f = |x| 2;", "m.f = |x| 3; m.f = |x| 2;"), ["|x|3", "|x|2"]);
        assert_eq!(followed("m.f = |x| 1; m.f = |x| 2;", "m.f = |x| 3; m.f = |x| 4; m.f = |x| 2;"), ["-", "|x|2"]);
        // Inside of another.
        assert_eq!(followed("m.f = |x| g(|y| x + y);", "m.f = |x| g(|y| x - y);"), ["|x|g(\u{1})", "|y|x-y"]);
    }
}
