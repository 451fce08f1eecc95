//! Which pictures of a set are taken when fewer are wanted than there are.

use super::order::epoch_order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How they are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// As many of each class as there are, drawn at random.
    #[default]
    Even,
    /// The first in the order of the set, which is that of its classes.
    First,
}

/// `most` of the positions `0..labels.len()`, in order. Drawn evenly: a class that has too few gives all, and more are taken of the others; a larger
/// `most` keeps what a smaller one chose.
pub(super) fn choose(labels: &[usize], most: usize, pick: Pick, seed: u64) -> Vec<usize> {
    if pick == Pick::First || most >= labels.len() {
        return (0..labels.len().min(most)).collect();
    }
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(position);
    }
    let mut classes: Vec<(usize, Vec<usize>)> = classes.into_iter().collect();
    // Where `most` does not divide evenly, chance decides which classes give one more.
    let mut queue: Vec<Vec<usize>> = epoch_order(classes.len(), true, seed, 0)
        .into_iter()
        .map(|i| {
            let (label, positions) = &mut classes[i];
            let order = epoch_order(positions.len(), true, seed, *label as u64 + 1);
            order.into_iter().map(|j| positions[j]).collect()
        })
        .collect();
    let (mut chosen, mut round) = (Vec::with_capacity(most), 0);
    while chosen.len() < most {
        queue.retain(|c| c.len() > round);
        chosen.extend(queue.iter().take(most - chosen.len()).map(|c| c[round]));
        round += 1;
    }
    chosen.sort_unstable();
    chosen
}

/// How so many of a set were chosen, in words; `classes` is how many there were to draw from.
pub(super) fn words(taken: usize, of: usize, classes: usize, pick: Pick, seed: u64) -> String {
    match pick {
        Pick::First => format!("the first {taken} of {of} pictures"),
        Pick::Even if classes > 1 => format!("{taken} of {of} pictures, drawn evenly over {classes} classes by seed {seed}"),
        Pick::Even => format!("{taken} of {of} pictures, drawn by seed {seed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_give_alike_and_small_ones_give_all() {
        let labels: Vec<usize> = [vec![0; 100], vec![1; 3], vec![2; 50]].concat();
        let count = |chosen: &[usize]| (0..3).map(|c| chosen.iter().filter(|p| labels[**p] == c).count()).collect::<Vec<_>>();
        let chosen = choose(&labels, 43, Pick::Even, 0);
        assert_eq!(count(&chosen), [20, 3, 20]);
        assert!(chosen.is_sorted());
        assert_ne!(chosen, choose(&labels, 43, Pick::Even, 1));
        assert_eq!(count(&choose(&labels, 152, Pick::Even, 5)), [99, 3, 50]);
        // One more is taken of one class, and nothing is given back.
        let more = choose(&labels, 44, Pick::Even, 0);
        assert!(chosen.iter().all(|p| more.contains(p)) && more.len() == 44);
        // Not the first ones.
        assert!(chosen.iter().filter(|p| labels[**p] == 0).any(|p| *p >= 20));
        assert_eq!(choose(&labels, 4, Pick::First, 9), [0, 1, 2, 3]);
        assert_eq!(choose(&labels, 500, Pick::Even, 9).len(), 153);
        assert_eq!(choose(&[], 5, Pick::Even, 0), Vec::<usize>::new());
        assert_eq!(choose(&labels, 0, Pick::Even, 0), Vec::<usize>::new());
    }
}
