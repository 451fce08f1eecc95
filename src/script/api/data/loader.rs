//! Loaders of batches.

use super::int;
use crate::api;
use crate::data::Loader;
use crate::error::Error;
use crate::script::lang::exception::into_script;
use crate::script::lang::value::from_json;
use crate::script::training::steps::batch_map;
use crate::script_handle;
use crate::torch::Tensor;
use rhai::{Dynamic, Map, Module, Position};
use std::any::TypeId;

script_handle!(Loader, "a loader");

/// `for batch in loader` runs over one epoch: the rest of the one that is under way, or the next.
pub fn configure(engine: &mut rhai::Engine) {
    let mut iteration = Module::new();
    iteration.set_iter_result(TypeId::of::<Loader>(), |x| {
        let loader = x.cast::<Loader>();
        loader.start_epoch();
        let mut failed = false;
        Box::new(std::iter::from_fn(move || {
            if failed {
                return None;
            }
            match loader.next_in_epoch() {
                Ok(batch) => batch.map(|b| Ok(Dynamic::from(batch_map(&b)))),
                Err(e) => {
                    failed = true;
                    Some(Err(into_script(e, None, Position::NONE)))
                }
            }
        }))
    });
    engine.register_global_module(iteration.into());
}

api! {
    fn methods;
    methods Loader;

    /// The next batch; after the last of an epoch comes the first of the next.
    ///
    /// # Errors
    /// `E0203` without memory for a batch.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 8});
    /// assert_eq(loader.next().labels.shape, [8]);
    /// ```
    fn next(loader: Loader) -> Map { loader.next().map(|batch| batch_map(&batch)) }

    /// The epoch of the next batch, from 0.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).loader(#{batch: 8}).epoch, 0);
    /// ```
    fn epoch as "get$epoch"(loader: Loader) -> i64 { Ok(i64::try_from(loader.epoch()).unwrap_or(i64::MAX)) }

    /// How many batches an epoch has.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).loader(#{batch: 16}).batches, 3);
    /// ```
    fn batches as "get$batches"(loader: Loader) -> i64 { Ok(int(loader.batches())) }

    /// The positions in the set of the next `n` samples, at most as many as the set has: what batches will hold as `index`. Nothing is read.
    ///
    /// # Shapes
    /// - i64 `[n]`
    /// # Errors
    /// `E0202` for a negative number.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 8, shuffle: true});
    /// assert_eq(loader.upcoming(8).to_array(), loader.next().index.to_array());
    /// ```
    fn upcoming(loader: Loader, n: usize) -> Tensor {
        let positions: Vec<i64> = loader.upcoming(n).into_iter().map(|p| p as i64).collect();
        Tensor::from_slice(&positions)
    }

    /// The position, to be stored and given to `set_state` of a loader with the same set and options.
    ///
    /// # Errors
    /// None: any loader has a position.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 16});
    /// loader.next();
    /// assert_eq(loader.state().batch_in_epoch, 1);
    /// ```
    fn state(loader: Loader) -> Dynamic {
        Ok(from_json(&serde_json::to_value(loader.state()).expect("plain numbers and flags")))
    }

    /// Goes to a position that `state` gave: the same batches follow.
    ///
    /// # Errors
    /// `E0601` when it belongs to another set or to other options.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 16, shuffle: true});
    /// let state = loader.state();
    /// let first = loader.next();
    /// loader.set_state(state);
    /// assert_eq(loader.next().index, first.index);
    /// ```
    fn set_state(loader: Loader, state: Map) -> () {
        let json = crate::script::lang::value::to_json(&Dynamic::from(state));
        let state = serde_json::from_value(json).map_err(|e| Error::value("set_state", format!("not the state of a loader: {e}")))?;
        loader.set_state(&state)
    }

    /// The loader in words.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// print(data::images(made.folder).loader(#{batch: 16}));
    /// ```
    fn to_string(loader: Loader) -> String { Ok(format!("{loader:?}")) }
}
