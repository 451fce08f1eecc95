//! What runs and checkpoints were made of.

use super::Checkpoint;
use crate::api;
use crate::script::api::data::origin::{made_of, origin_map};
use crate::script::training::run::Run;
use crate::train;
use rhai::Map;
use std::path::Path;

api! {
    fn namespace_functions;
    namespace "train";

    /// The origin of weights in a run folder or a checkpoint, without reading them: `#{kind, path, about, id, settings, from}`, where `id` is what `module.hash()`
    /// gives and `from` what the run was made from. `part` is the name under which they are tracked. Checkpoints of earlier versions keep no hash: there they are read.
    ///
    /// # Errors
    /// `E0302` when there is no checkpoint, `E0401` when it has no such weights.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// run.track("net", nn::linear(2, 3));
    /// run.save();
    /// assert_eq(train::origin(run.dir, "net").id, run.net.hash());
    /// ```
    fn origin[cx](path: String, part: String;
        /// which checkpoint; the newest whole one unless given
        step: Option<i64>[0..],
    ) -> Map {
        cx.readable_within(&path)?;
        let step = step.and_then(|s| u64::try_from(s).ok());
        let origin = train::Checkpoint::find_unread(Path::new(&path), step)?.origin(&part)?;
        Ok(origin_map(&origin))
    }
}

api! {
    fn run_functions;
    methods Run;

    /// Says what the run is made from, by the settings that name it: sets, or origins of weights. Checkpoints keep it. The run goes on only with the same content,
    /// wherever it lies, unless `--allow-change NAME` allows another; `lathe replay` repeats it only with the same. Roles with `()` are left out.
    ///
    /// # Errors
    /// `E0202` for something without an origin, or when the run has begun.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// run.made_from(#{vae_ckpt: #{kind: "weights", path: "vae.pt", id: nn::linear(2, 3).hash()}});
    /// run.save();
    /// ```
    fn made_from(run: Run, parts: Map) -> () { run.run().set_made_from(made_of("made_from", &parts)?) }
}

api! {
    fn checkpoint_functions;
    methods Checkpoint;

    /// The origin of the weights tracked as `name`: `#{kind, path, about, id, settings, from}`, where `id` is what `module.hash()` gives and `from` what the run was
    /// made from.
    ///
    /// # Errors
    /// `E0401` when there is none of that name, or it has no weights.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("net", nn::linear(2, 3));
    /// assert_eq(train::checkpoint(run.save()).origin("net").about, "net, step 0");
    /// ```
    fn origin(checkpoint: Checkpoint, name: String) -> Map { checkpoint.0.origin(&name).map(|o| origin_map(&o)) }
}
