//! `torch::`, recording random draws and giving them again, and draws of a batch in parts.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::value::{FromArg, type_name};
use crate::torch::draws::{self, Draw, Law};
use crate::torch::{Tensor, share};
use rhai::{Array, Dynamic, FnPtr, Map};

fn to_map(d: Draw) -> Dynamic {
    let entries = [("kind", Dynamic::from(d.law.name().to_owned())), ("value", Dynamic::from(d.value))];
    entries.into_iter().map(|(k, v)| (k.into(), v)).collect::<Map>().into()
}

/// `#{kind, value}`.
fn from_map(d: &Dynamic) -> Result<Draw> {
    let wrong = || Error::value("replay_draws", format!("a draw is a map `#{{kind, value}}` of a string and a tensor, got {}", type_name(d)));
    let map = d.read_lock::<Map>().ok_or_else(wrong)?;
    let kind = map.get("kind").and_then(String::from_dynamic).ok_or_else(wrong)?;
    let value = map.get("value").and_then(Tensor::from_dynamic).ok_or_else(wrong)?;
    Ok(Draw { law: Law::parse(&kind)?, value })
}

api! {
    namespace "torch";

    /// Runs a function and keeps what it draws: `#{result, draws}`, where each draw is a map `#{kind, value}`, in order. Draws are what
    /// `rand`, `randn`, `randint`, `randperm` and the `.._like` functions give, also inside models (a posterior's sample, dropped labels).
    /// `kind` is the function's name, without `_like`.
    ///
    /// # Errors
    /// Whatever the function throws.
    /// # Example
    /// ```rhai
    /// let r = torch::record_draws(|| torch::rand([2]) + torch::randn([2, 2]));
    /// assert_eq(r.draws.map(|d| d.kind), ["rand", "randn"]);
    /// assert_eq(r.draws[0].value + r.draws[1].value, r.result);
    /// ```
    fn record_draws[cx](f: FnPtr) -> Map {
        let (result, draws) = draws::record(|| cx.call(&f, vec![]))?;
        let draws: Array = draws.into_iter().map(to_map).collect();
        Ok([("result", result), ("draws", draws.into())].into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// Runs a function for each of `n` parts of a batch that has `rows` samples, and gives an array of its results. Part i has the samples i, i + n, .. of
    /// the batch. Before each part the random generators are where they were, and a draw whose first size is the number of samples of a part gives its
    /// rows of what would be drawn for the whole batch: the parts together see the numbers that the batch would see at once.
    ///
    /// # Errors
    /// `E0202` when `rows` does not divide into `n` parts, or a part draws what has no rows of a batch, such as dropout; whatever the function throws.
    /// # Example
    /// ```rhai
    /// torch::manual_seed(1);
    /// let whole = torch::randn([4, 2]);
    /// torch::manual_seed(1);
    /// let parts = torch::in_parts(2, 4, |i| torch::randn([2, 2]));
    /// assert_eq(parts[1][0], whole[1]);
    /// assert_eq(parts[0][1], whole[2]);
    /// ```
    fn in_parts[cx](n: usize, rows: i64, f: FnPtr;
        /// the generators are in the end where they were before the first part
        put_back: bool = false,
    ) -> Array {
        share::in_parts(n, rows, put_back, |i| cx.call(&f, vec![i64::try_from(i).unwrap_or(0).into()]))
    }

    /// Runs a function with given draws, maps `#{kind, value}` as `record_draws` makes them, in place of fresh ones, and gives its result:
    /// a training step can so be compared with another implementation, or a strange one looked at again. Each draw must be of the kind
    /// and shape that is asked for, and all must be used; its dtype and device become those asked for.
    ///
    /// # Shapes
    /// - `value`: that of the draw
    /// # Errors
    /// `E0202` with the number of the draw that does not fit, when draws are left, or when something was drawn that cannot be replayed
    /// (dropout, `uniform_` and `normal_`, sampling by `torch::op`); whatever the function throws.
    /// # Example
    /// ```rhai
    /// let first = torch::record_draws(|| torch::randn([3]) * torch::rand([3]));
    /// assert_eq(torch::replay_draws(first.draws, || torch::randn([3]) * torch::rand([3])), first.result);
    /// ```
    /// ```rhai
    /// let draws = [#{kind: "randn", value: torch::zeros([3])}];
    /// let message = "";
    /// try { torch::replay_draws(draws, || torch::rand([3])); } catch (e) { message = e.message; }
    /// assert(message.contains("draw 1 of 1 is randn [3], but rand [3] is asked for"), message);
    /// ```
    fn replay_draws[cx](draws: Array, f: FnPtr) -> Dynamic {
        let draws = draws.iter().map(from_map).collect::<Result<_>>()?;
        draws::replay(draws, || cx.call(&f, vec![]))
    }
    /// Runs a function with draws that do not hang on what is drawn together: row `j` of each depends on `seed`, on `index[j]` and on how many draws
    /// came before. So picture `i` under a seed is the same in a batch of 1 and of 64, whatever the threads or the device. Draws are what
    /// `rand`, `randn`, `randint` and the `.._like` functions give; their first size must be the number of rows.
    ///
    /// # Shapes
    /// - `index`: integers `[n]`, from 0; every draw is `[n, ..]`
    /// # Errors
    /// `E0202` for a draw without these rows, for something else that was drawn (dropout, `uniform_`, sampling by `torch::op`), for a negative
    /// number, and inside another `seeded_rows`; whatever the function throws.
    /// # Example
    /// ```rhai
    /// let all = torch::seeded_rows(0, torch::arange(0, 4), || torch::randn([4, 2]));
    /// let last = torch::seeded_rows(0, torch::arange(2, 4), || torch::randn([2, 2]));
    /// assert_eq(last, all.narrow(0, 2, 2));
    /// assert(torch::seeded_rows(2, torch::arange(0, 2), || torch::randn([2, 2])) != last, "another seed");
    /// ```
    fn seeded_rows[cx](seed: i64, index: Tensor, f: FnPtr) -> Dynamic {
        draws::seeded_rows(seed, &index.to_vec_i64()?, || cx.call(&f, vec![]))
    }
}
