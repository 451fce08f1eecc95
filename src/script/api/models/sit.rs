//! What a diffusion transformer can do.

use crate::api;
use crate::models::{LabelDrop, Sit};
use crate::nn::Module;
use crate::script::api::models::dispatch;
use crate::script::lang::value::{FromArg, IntoScript, Kw};
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

fn label_drop(kw: &mut Kw) -> crate::error::Result<LabelDrop> {
    Ok(kw.get("label_drop", Drop(LabelDrop::Auto))?.0)
}

/// The arguments as a script's own method would get them.
fn inputs(x_t: &Tensor, t: &Tensor, y: &Tensor, opts: Option<&Map>) -> Vec<Dynamic> {
    [x_t, t, y].into_iter().cloned().map(Dynamic::from).chain(opts.cloned().map(Dynamic::from)).collect()
}

fn list(tensors: Vec<Tensor>) -> Dynamic {
    tensors.into_script()
}

api! {
    methods Module;

    /// Velocity, aligned tokens and their projections in one pass: `#{velocity, tokens, projected}`.
    ///
    /// In training, labels become the null class with probability `class_dropout`. Options: `label_drop`: `false` for none, or a recorded draw of
    /// U(0, 1), whose values below `class_dropout` drop their label.
    ///
    /// # Shapes
    /// - `x_t`: `[B, C, h, w]` normalised and noised, `t`: `[B]` in [0, 1], `y`: i64 `[B]`
    /// - `velocity`: `[B, C, h, w]`, `tokens`: `[B, N, D]`, `projected`: an array with one `[B, N, z]` for each of `z_dims`
    /// # Errors
    /// `E0202` for a module that is no SiT, or latents of another size.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 2, hidden: 16, heads: 2, patch: 1, input_size: 2, num_classes: 3, z_dims: [8], projector_dim: 16});
    /// let out = sit.forward_features(torch::randn([2, 4, 2, 2]), torch::rand([2]), torch::tensor([0, 2]), #{label_drop: false});
    /// assert_eq(out.tokens.shape, [2, 4, 16]);
    /// ```
    fn forward_features[cx](sit: Module, x_t: Tensor, t: Tensor, y: Tensor, opts: Option<Map>) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &inputs(&x_t, &t, &y, opts.as_ref()), |m| {
            let mut kw = Kw::new(cx.name(), opts.clone().unwrap_or_default());
            let drop = label_drop(&mut kw)?;
            kw.done()?;
            let out = m.forward_features(&x_t, &t, &y, &drop)?;
            let map = [("velocity", Dynamic::from(out.velocity)), ("tokens", Dynamic::from(out.tokens)), ("projected", list(out.projected))];
            Ok(map.into_iter().map(|(k, v)| (k.into(), v)).collect::<Map>().into())
        })
    }

    /// Tokens after block `encoder_depth`, without running the blocks behind it. Options: `depth` (from 1), `label_drop` as in `forward_features`.
    ///
    /// # Shapes
    /// - `x_t`: `[B, C, h, w]`, `t`: `[B]`, `y`: i64 `[B]` -> `[B, N, D]`
    /// # Errors
    /// `E0202` for a module that is no SiT, or a depth that is not there.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 2, hidden: 16, heads: 2, patch: 1, input_size: 2, num_classes: 3});
    /// let tokens = sit.tokens(torch::randn([2, 4, 2, 2]), torch::rand([2]), torch::tensor([0, 2]), #{depth: 1});
    /// assert_eq(tokens.shape, [2, 4, 16]);
    /// ```
    fn tokens[cx](sit: Module, x_t: Tensor, t: Tensor, y: Tensor, opts: Option<Map>) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &inputs(&x_t, &t, &y, opts.as_ref()), |m| {
            let mut kw = Kw::new(cx.name(), opts.clone().unwrap_or_default());
            let (depth, drop) = (kw.opt("depth")?, label_drop(&mut kw)?);
            kw.done()?;
            m.tokens(&x_t, &t, &y, depth, &drop).map(Dynamic::from)
        })
    }

    /// Tokens through each projector, to be compared with the vision models' features.
    ///
    /// # Shapes
    /// - `[B, N, D]` -> an array with one `[B, N, z]` for each of `z_dims`
    /// # Errors
    /// `E0202` for a module that is no SiT.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, input_size: 4, z_dims: [8, 5], projector_dim: 16});
    /// assert_eq(sit.project(torch::zeros([2, 4, 16])).map(|p| p.shape), [[2, 4, 8], [2, 4, 5]]);
    /// ```
    fn project[cx](sit: Module, tokens: Tensor) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &[Dynamic::from(tokens.clone())], |m| m.project(&tokens).map(list))
    }

    /// Labels of which some become the null class: those whose `uniform` is below `class_dropout`; without it, a fresh draw in training.
    ///
    /// # Shapes
    /// - `y`: i64 `[B]`, `uniform`: `[B]` in [0, 1) -> i64 `[B]`
    /// # Errors
    /// `E0202` for a module that is no SiT, `E0201` when the lengths differ.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, num_classes: 3, class_dropout: 0.5});
    /// assert_eq(sit.drop_labels(torch::tensor([0, 1]), torch::tensor([0.4, 0.6])).to_array(), [3, 1]);
    /// ```
    fn drop_labels[cx](sit: Module, y: Tensor, uniform: Option<Tensor>) -> Dynamic {
        let args: Vec<Dynamic> = std::iter::once(y.clone()).chain(uniform.clone()).map(Dynamic::from).collect();
        let drop = uniform.map_or(LabelDrop::Auto, LabelDrop::Uniform);
        dispatch::<Sit>(cx, &sit, &args, |m| m.drop_labels(&y, &drop).map(Dynamic::from))
    }

    /// The label of no class: `num_classes`.
    ///
    /// # Errors
    /// `E0202` for a module that is no SiT.
    /// # Example
    /// ```rhai
    /// assert_eq(models::sit(#{depth: 1, hidden: 16, heads: 2, num_classes: 3}).null_label, 3);
    /// ```
    fn null_label as "get$null_label"[cx](sit: Module) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &[], |m| Ok(m.null_label().into()))
    }

    /// Latents normalised by the model's batch norm: by the batch in training, by the running statistics in evaluation or when frozen.
    ///
    /// # Shapes
    /// - `[B, C, h, w]` -> `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module that is no SiT.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, input_size: 4});
    /// sit.init_bn(torch::full([4], 2.0), torch::full([4], 1.0));
    /// sit.freeze_bn();
    /// assert_close(sit.normalize(torch::full([1, 4, 4, 4], 2.0)).mean().item(), 2.0, #{atol: 0.01});
    /// ```
    fn normalize[cx](sit: Module, z: Tensor) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &[Dynamic::from(z.clone())], |m| m.normalize(&z).map(Dynamic::from))
    }

    /// Latents for the decoder from what a sampler gives: `z / scale + bias`.
    ///
    /// # Shapes
    /// - `[B, C, h, w]` -> `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module that is no SiT.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2, input_size: 4});
    /// sit.init_bn(torch::full([4], 2.0), torch::full([4], 1.0));
    /// assert_eq(sit.denormalize(torch::full([1, 4, 4, 4], 2.0)).mean().item(), 2.0);
    /// ```
    fn denormalize[cx](sit: Module, z: Tensor) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &[Dynamic::from(z.clone())], |m| m.denormalize(&z).map(Dynamic::from))
    }

    /// Sets the running statistics of the latents: `scale` is 1 / std, `bias` the mean.
    ///
    /// # Shapes
    /// - `scale`, `bias`: `[C]` or `[1, C, 1, 1]`
    /// # Errors
    /// `E0202` for a module that is no SiT, `E0201` for another number of channels.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2});
    /// sit.init_bn(torch::full([4], 2.0), torch::zeros([4]));
    /// assert_eq(sit.latent_stats().scale.shape, [1, 4, 1, 1]);
    /// ```
    fn init_bn[cx](sit: Module, scale: Tensor, bias: Tensor) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &[Dynamic::from(scale.clone()), Dynamic::from(bias.clone())], |m| m.init_bn(&scale, &bias).map(Dynamic::from))
    }

    /// The running statistics of the latents: `#{scale, bias}`, 1 / std and mean.
    ///
    /// # Shapes
    /// - `[1, C, 1, 1]` each
    /// # Errors
    /// `E0202` for a module that is no SiT.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 1, hidden: 16, heads: 2});
    /// assert_eq(sit.latent_stats().bias.sum().item(), 0.0);
    /// ```
    fn latent_stats[cx](sit: Module) -> Dynamic {
        dispatch::<Sit>(cx, &sit, &[], |m| {
            let (scale, bias) = m.latent_stats()?;
            Ok([("scale", scale), ("bias", bias)].into_iter().map(|(k, v)| (k.into(), Dynamic::from(v))).collect::<Map>().into())
        })
    }

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
