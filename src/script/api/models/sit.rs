//! What a diffusion transformer can do.

use crate::api;
use crate::models::{LabelDrop, Sit};
use crate::nn::Module;
use crate::script::bind::Model;
use crate::script::lang::value::{FromArg, IntoScript};
use crate::torch::Tensor;
use rhai::{Dynamic, Map};

/// `label_drop`: `true` as in training, `false` for none, or a recorded draw.
struct Drop(LabelDrop);

impl FromArg for Drop {
    const NAME: &'static str = "a bool or a tensor";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        match d.as_bool() {
            Ok(on) => Some(Drop(if on { LabelDrop::Auto } else { LabelDrop::Off })),
            Err(_) => Tensor::from_dynamic(d).map(|t| Drop(LabelDrop::Uniform(t))),
        }
    }
}

api! {
    model Sit as "sit";

    /// Velocity, aligned tokens and their projections in one pass: `#{velocity, tokens, projected}`.
    ///
    /// In training, labels become the null class with probability `class_dropout`.
    ///
    /// # Shapes
    /// - `x_t`: `[B, C, h, w]` normalised and noised, `t`: `[B]` in [0, 1], `y`: i64 `[B]`
    /// - `velocity`: `[B, C, h, w]`, `tokens`: `[B, N, D]`, `projected`: an array with one `[B, N, z]` for each of `z_dims`
    /// # Errors
    /// `E0202` for a module without it, or latents of another size.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 2, hidden: 16, heads: 2, patch: 1, input_size: 2, num_classes: 3, z_dims: [8], projector_dim: 16});
    /// let out = sit.forward_features(torch::randn([2, 4, 2, 2]), torch::rand([2]), torch::tensor([0, 2]), #{label_drop: false});
    /// assert_eq(out.tokens.shape, [2, 4, 16]);
    /// ```
    fn forward_features(sit: Model<Sit>, x_t: Tensor, t: Tensor, y: Tensor;
        /// true as in training, false for none, or a recorded draw of U(0, 1), whose values below `class_dropout` drop their label
        label_drop: Drop = Drop(LabelDrop::Auto),
    ) -> Map {
        let out = sit.forward_features(&x_t, &t, &y, &label_drop.0)?;
        let map = [("velocity", Dynamic::from(out.velocity)), ("tokens", Dynamic::from(out.tokens)), ("projected", out.projected.into_script())];
        Ok(map.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// Tokens after block `encoder_depth`, without running the blocks behind it.
    ///
    /// # Shapes
    /// - `x_t`: `[B, C, h, w]`, `t`: `[B]`, `y`: i64 `[B]` -> `[B, N, D]`
    /// # Errors
    /// `E0202` for a module without it, or a depth that is not there.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 2, hidden: 16, heads: 2, patch: 1, input_size: 2, num_classes: 3});
    /// let tokens = sit.tokens(torch::randn([2, 4, 2, 2]), torch::rand([2]), torch::tensor([0, 2]), #{depth: 1});
    /// assert_eq(tokens.shape, [2, 4, 16]);
    /// ```
    fn tokens(sit: Model<Sit>, x_t: Tensor, t: Tensor, y: Tensor;
        /// after how many blocks, from 1; `encoder_depth` unless given
        depth: Option<i64>,
        /// true as in training, false for none, or a recorded draw of U(0, 1), whose values below `class_dropout` drop their label
        label_drop: Drop = Drop(LabelDrop::Auto),
    ) -> Tensor {
        sit.tokens(&x_t, &t, &y, depth, &label_drop.0)
    }

    /// Tokens through each projector, to be compared with the vision models' features.
    ///
    /// # Shapes
    /// - `[B, N, D]` -> an array with one `[B, N, z]` for each of `z_dims`
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, input_size: 4, z_dims: [8, 5], projector_dim: 16});
    /// assert_eq(sit.project(torch::zeros([2, 4, 16])).map(|p| p.shape), [[2, 4, 8], [2, 4, 5]]);
    /// ```
    fn project(sit: Model<Sit>, tokens: Tensor) -> Vec<Tensor> { sit.project(&tokens) }

    /// Labels of which some become the null class: those whose `uniform` is below `class_dropout`; without it, a fresh draw in training.
    ///
    /// # Shapes
    /// - `y`: i64 `[B]`, `uniform`: `[B]` in [0, 1) -> i64 `[B]`
    /// # Errors
    /// `E0202` for a module without it, `E0201` when the lengths differ.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, num_classes: 3, class_dropout: 0.5});
    /// assert_eq(sit.drop_labels(torch::tensor([0, 1]), torch::tensor([0.4, 0.6])).to_array(), [3, 1]);
    /// ```
    fn drop_labels(sit: Model<Sit>, y: Tensor, uniform: Option<Tensor>) -> Tensor { sit.drop_labels(&y, &uniform.map_or(LabelDrop::Auto, LabelDrop::Uniform)) }

    /// The label of no class: `num_classes`. With `class_dropout` 0 no training ever touches its row, so there is none to guide with.
    ///
    /// # Errors
    /// `E0202` for a module without it, and with `class_dropout` 0.
    /// # Example
    /// ```rhai
    /// assert_eq(models::sit(#{depth: 1, hidden: 16, heads: 2, num_classes: 3}).null_label, 3);
    /// ```
    fn null_label as "get$null_label"(sit: Model<Sit>) -> i64 { sit.trained_null_label() }

    /// Latents normalised by the model's batch norm: by the batch in training, by the running statistics in evaluation or when frozen.
    ///
    /// # Shapes
    /// - `[B, C, h, w]` -> `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, input_size: 4});
    /// sit.init_bn(torch::full([4], 2.0), torch::full([4], 1.0));
    /// sit.freeze_bn();
    /// assert_close(sit.normalize(torch::full([1, 4, 4, 4], 2.0)).mean().item(), 2.0, #{atol: 0.01});
    /// ```
    fn normalize(sit: Model<Sit>, z: Tensor) -> Tensor { sit.normalize(&z) }

    /// Latents for the decoder from what a sampler gives: `z / scale + bias`.
    ///
    /// # Shapes
    /// - `[B, C, h, w]` -> `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, input_size: 4});
    /// sit.init_bn(torch::full([4], 2.0), torch::full([4], 1.0));
    /// assert_eq(sit.denormalize(torch::full([1, 4, 4, 4], 2.0)).mean().item(), 2.0);
    /// ```
    fn denormalize(sit: Model<Sit>, z: Tensor) -> Tensor { sit.denormalize(&z) }

    /// Sets the running statistics of the latents: `scale` is 1 / std, `bias` the mean.
    ///
    /// # Shapes
    /// - `scale`, `bias`: `[C]` or `[1, C, 1, 1]`
    /// # Errors
    /// `E0202` for a module without it, `E0201` for another number of channels.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2});
    /// sit.init_bn(torch::full([4], 2.0), torch::zeros([4]));
    /// assert_eq(sit.latent_stats().scale.shape, [1, 4, 1, 1]);
    /// ```
    fn init_bn(sit: Model<Sit>, scale: Tensor, bias: Tensor) -> () { sit.init_bn(&scale, &bias) }

    /// The running statistics of the latents: `#{scale, bias}`, 1 / std and mean.
    ///
    /// # Shapes
    /// - `[1, C, 1, 1]` each
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2});
    /// assert_eq(sit.latent_stats().bias.sum().item(), 0.0);
    /// ```
    fn latent_stats(sit: Model<Sit>) -> Map {
        let (scale, bias) = sit.latent_stats()?;
        Ok([("scale", scale), ("bias", bias)].into_iter().map(|(k, v)| (k.into(), Dynamic::from(v))).collect())
    }

}

api! {
    fn module_functions;
    methods Module;

    /// Keeps every batch norm of the module on its running statistics while the rest trains; `freeze_bn(false)` lets them follow the mode again.
    /// Gives the number of batch norms.
    ///
    /// # Errors
    /// None: a module without batch norms gives 0.
    /// # Example
    /// ```rhai
    /// assert_eq(models::sit(#{depth: 1, hidden: 16, heads: 2}).freeze_bn(), 1);
    /// ```
    fn freeze_bn(module: Module, on: Option<bool>) -> i64 {
        Ok(i64::try_from(module.set_switch("frozen", on.unwrap_or(true))).unwrap_or(i64::MAX))
    }
}
