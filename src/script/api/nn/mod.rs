//! `nn::`, constructors of layers, groups and parameters. Names, defaults and first values are PyTorch's (timm's for attention,
//! MLP, patch embedding and transformer block).

pub mod digest;

use crate::api;
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::nn::layers::{
    Activation, Attention, AttentionOptions, BatchNorm2d, BatchNormOptions, BlockOptions, Conv2d, Conv2dOptions, Dropout, Embedding, GroupNorm,
    LayerNorm, Linear, LinearInit, Mlp, PatchEmbed, TransformerBlock, patchify, sincos_2d,
};
use crate::script::api::f::vision::{two, two_of};
use crate::script::api::module::parts::{set_part, tensor_of};
use crate::script::bind::with_caller;
use crate::script::lang::value::{Dims, FromArg, IntoScript, Kw};
use crate::torch::Tensor;
use rhai::{Dynamic, FnPtr, Map};
use std::rc::Rc;

api! {
    namespace "nn";

    /// Affine map `x @ weight.t() + bias`. Options: `bias` (true); `init`: `torch` (default), `xavier` (uniform, zero bias), `zeros`, or a number,
    /// the deviation of a normal distribution with zero bias.
    ///
    /// # Shapes
    /// - `[.., inputs]` -> `[.., outputs]`; `weight`: `[outputs, inputs]`, `bias`: `[outputs]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(3, 4, #{init: "xavier"});
    /// assert_eq(m.forward(torch::ones([2, 3])).shape, [2, 4]);
    /// assert_eq(m.weight.shape, [4, 3]);
    /// ```
    fn linear(inputs: i64, outputs: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let (bias, init) = (opts.get("bias", true)?, init(&mut opts)?);
        opts.done()?;
        positive("linear", &[("inputs", inputs), ("outputs", outputs)])?;
        Linear::module(inputs, outputs, bias, init)
    }

    /// 2-D convolution. Options: `stride` (1), `padding` (0), `dilation` (1), each an int or `[y, x]`; `groups` (1), `bias` (true); `init`: `torch`
    /// (default), `xavier` (uniform, zero bias), `zeros`, or a number, the deviation of a normal distribution with zero bias.
    ///
    /// # Shapes
    /// - `[B, inputs, H, W]` -> `[B, outputs, H', W']`; `weight`: `[outputs, inputs / groups, kh, kw]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// let m = nn::conv2d(3, 8, 3, #{padding: 1});
    /// assert_eq(m.forward(torch::ones([2, 3, 8, 8])).shape, [2, 8, 8, 8]);
    /// ```
    fn conv2d(inputs: i64, outputs: i64, kernel_size: Dims, opts: Kw) -> Module {
        let mut opts = opts;
        let options = Conv2dOptions {
            stride: two(&mut opts, "stride", 1)?,
            padding: two(&mut opts, "padding", 0)?,
            dilation: two(&mut opts, "dilation", 1)?,
            groups: opts.get("groups", 1)?,
            bias: opts.get("bias", true)?,
            init: init(&mut opts)?,
        };
        opts.done()?;
        positive("conv2d", &[("inputs", inputs), ("outputs", outputs)])?;
        Conv2d::module(inputs, outputs, two_of("conv2d", "kernel_size", &kernel_size.0)?, options)
    }

    /// Normalises the last dimension. Options: `eps` (1e-5), `affine` (true).
    ///
    /// # Shapes
    /// - `[.., dim]` -> the same; `weight`, `bias`: `[dim]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::layer_norm(8).forward(torch::randn([2, 8])).shape, [2, 8]);
    /// ```
    fn layer_norm(dim: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let (eps, affine) = (opts.get("eps", 1e-5)?, opts.get("affine", true)?);
        opts.done()?;
        positive("layer_norm", &[("dim", dim)])?;
        LayerNorm::module(dim, eps, affine)
    }

    /// Normalises groups of channels. Options: `eps` (1e-5), `affine` (true).
    ///
    /// # Shapes
    /// - `[B, channels, ..]` -> the same; `weight`, `bias`: `[channels]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::group_norm(2, 8).forward(torch::randn([2, 8, 4, 4])).shape, [2, 8, 4, 4]);
    /// ```
    fn group_norm(groups: i64, channels: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let (eps, affine) = (opts.get("eps", 1e-5)?, opts.get("affine", true)?);
        opts.done()?;
        positive("group_norm", &[("groups", groups), ("channels", channels)])?;
        GroupNorm::module(groups, channels, eps, affine)
    }

    /// Normalises each channel: by the batch in training, updating the running statistics, else by those. Options: `eps` (1e-5), `momentum` (0.1),
    /// `affine` (true).
    ///
    /// # Shapes
    /// - `[B, channels, H, W]` -> the same; `weight`, `bias` and the buffers `running_mean`, `running_var`: `[channels]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// let m = nn::batch_norm2d(4, #{affine: false});
    /// m.forward(torch::randn([8, 4, 2, 2]));
    /// assert_eq(m.running_mean.shape, [4]);
    /// ```
    fn batch_norm2d(channels: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let options = BatchNormOptions { eps: opts.get("eps", 1e-5)?, momentum: opts.get("momentum", 0.1)?, affine: opts.get("affine", true)?, ..BatchNormOptions::default() };
        opts.done()?;
        positive("batch_norm2d", &[("channels", channels)])?;
        BatchNorm2d::module(channels, options)
    }

    /// A table of vectors, drawn from N(0, std). Options: `std` (1).
    ///
    /// # Shapes
    /// - i64 `[..]` -> `[.., dim]`; `weight`: `[rows, dim]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::embedding(10, 4).forward(torch::tensor([3, 5])).shape, [2, 4]);
    /// ```
    fn embedding(rows: i64, dim: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let std = opts.get("std", 1.0)?;
        opts.done()?;
        positive("embedding", &[("rows", rows), ("dim", dim)])?;
        Embedding::module(rows, dim, std)
    }

    /// Multi-head self-attention as timm's: parameters `qkv` (fused) and `proj`. Options: `qkv_bias` (true), `qk_norm` (false); `init`: `torch`
    /// (default), `xavier` (uniform, zero bias), `zeros`, or a number, the deviation of a normal distribution with zero bias.
    ///
    /// # Shapes
    /// - `[B, N, dim]` -> the same
    /// # Errors
    /// `E0202` when the heads do not divide the width.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::attention(16, 4).forward(torch::randn([2, 9, 16])).shape, [2, 9, 16]);
    /// ```
    fn attention(dim: i64, heads: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let options = AttentionOptions { heads, qkv_bias: opts.get("qkv_bias", true)?, qk_norm: opts.get("qk_norm", false)?, init: init(&mut opts)? };
        opts.done()?;
        Attention::module(dim, options)
    }

    /// `fc2(gelu(fc1(x)))`; as many outputs as inputs unless given. Options: `approximate` (`none`, or `tanh` for GELU); `init`: `torch` (default),
    /// `xavier` (uniform, zero bias), `zeros`, or a number, the deviation of a normal distribution with zero bias.
    ///
    /// # Shapes
    /// - `[.., inputs]` -> `[.., outputs]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::mlp(8, 32).forward(torch::randn([2, 8])).shape, [2, 8]);
    /// ```
    fn mlp(inputs: i64, hidden: i64, outputs: Option<i64>, opts: Kw) -> Module {
        let mut opts = opts;
        let tanh = approximate(&mut opts)?;
        let init = init(&mut opts)?;
        opts.done()?;
        let outputs = outputs.unwrap_or(inputs);
        positive("mlp", &[("inputs", inputs), ("hidden", hidden), ("outputs", outputs)])?;
        Mlp::module(inputs, hidden, outputs, tanh, init)
    }

    /// Patches as tokens, row by row, through one linear map; its parameters are those of a convolution, `proj`. Options: `init`: `torch`
    /// (default), `xavier` (uniform, zero bias), `zeros`, or a number, the deviation of a normal distribution with zero bias.
    ///
    /// # Shapes
    /// - `[B, channels, H, W]` -> `[B, (H / patch) * (W / patch), dim]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::patch_embed(3, 16, 4).forward(torch::randn([2, 3, 8, 8])).shape, [2, 4, 16]);
    /// ```
    fn patch_embed(channels: i64, dim: i64, patch: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let init = init(&mut opts)?;
        opts.done()?;
        positive("patch_embed", &[("channels", channels), ("dim", dim), ("patch", patch)])?;
        PatchEmbed::module(channels, dim, patch, init)
    }

    /// Plain pre-LN transformer block, `x += attn(norm1(x)); x += mlp(norm2(x))`. Options: `mlp_ratio` (4), `qkv_bias` (true), `qk_norm` (false),
    /// `eps` (1e-6), `approximate` (`none`, or `tanh` for GELU); `init`: `torch` (default), `xavier` (uniform, zero bias), `zeros`, or a number,
    /// the deviation of a normal distribution with zero bias.
    ///
    /// # Shapes
    /// - `[B, N, dim]` -> the same
    /// # Errors
    /// `E0202` when the heads do not divide the width.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::transformer_block(16, 4).forward(torch::randn([2, 9, 16])).shape, [2, 9, 16]);
    /// ```
    fn transformer_block(dim: i64, heads: i64, opts: Kw) -> Module {
        let mut opts = opts;
        let options = BlockOptions {
            heads,
            mlp_ratio: opts.get("mlp_ratio", 4.0)?,
            qkv_bias: opts.get("qkv_bias", true)?,
            qk_norm: opts.get("qk_norm", false)?,
            eps: opts.get("eps", 1e-6)?,
            tanh: approximate(&mut opts)?,
            init: init(&mut opts)?,
        };
        opts.done()?;
        TransformerBlock::module(dim, options)
    }

    /// Zeroes elements with probability `p` (0.5) in training and scales the others by `1 / (1 - p)`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0202` when `p` is no probability.
    /// # Example
    /// ```rhai
    /// let m = nn::dropout(0.1).eval();
    /// assert_eq(m.forward(torch::ones([4])).sum().item(), 4.0);
    /// ```
    fn dropout(p: Option<f64>) -> Module { Dropout::module(p.unwrap_or(0.5)) }

    /// An activation function as a module: `relu`, `silu`, `gelu`, `gelu_tanh`, `tanh`, `sigmoid`, `leaky_relu` (slope 0.2).
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0202` for an unknown name, with the nearest one.
    /// # Example
    /// ```rhai
    /// let m = nn::sequential([nn::linear(3, 4), nn::activation("silu")]);
    /// assert_eq(m.forward(torch::ones([2, 3])).shape, [2, 4]);
    /// ```
    fn activation(name: String) -> Module { Activation::module(&name) }

    /// A copy of a tensor that is to be trained: assigned to a group it becomes one of its parameters.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a tensor that is not a float one.
    /// # Example
    /// ```rhai
    /// let m = nn::group();
    /// m.scale = nn::parameter(torch::ones([4]));
    /// assert_eq(m.parameters().len(), 1);
    /// ```
    fn parameter(value: Tensor) -> Tensor { value.detach()?.copy()?.requires_grad_(true) }

    /// A copy of a tensor that is not to be trained: assigned to a group it is saved and moved with it, but is no parameter. A plain tensor without
    /// gradient, assigned directly, is one as well.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let m = nn::group();
    /// m.pos = nn::buffer(torch::zeros([16, 8]));
    /// assert_eq(m.parameters().len(), 0);
    /// assert_eq(m.state().keys(), ["pos"]);
    /// ```
    fn buffer(value: Tensor) -> Tensor { value.detach()?.copy() }

    /// The fixed 2-D sine-cosine positions of MAE and DiT for a grid of tokens in row order: the first half of the channels tells the column, the
    /// second the row.
    ///
    /// # Shapes
    /// - -> `[height * width, dim]`
    /// # Errors
    /// `E0202` unless `dim` is a multiple of 4.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::sincos_2d(16, 4, 4).shape, [16, 16]);
    /// ```
    fn sincos_2d(dim: i64, height: i64, width: i64) -> Tensor { sincos_2d(dim, height, width)?.to_device(crate::torch::default_device()) }

    /// A map as tokens, row by row.
    ///
    /// # Shapes
    /// - `[B, C, h, w]` -> `[B, h * w, C]`
    /// # Errors
    /// `E0202` for another rank.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::patchify(torch::zeros([2, 8, 4, 4])).shape, [2, 16, 8]);
    /// ```
    fn patchify(x: Tensor) -> Tensor { patchify(&x) }

    /// Modules run one after the other, called `0`, `1`, ... in the state.
    ///
    /// # Shapes
    /// - what the first takes -> what the last gives
    /// # Errors
    /// `E0202` for anything but modules.
    /// # Example
    /// ```rhai
    /// let m = nn::sequential([nn::linear(3, 8), nn::activation("relu"), nn::linear(8, 2)]);
    /// assert_eq(m.forward(torch::ones([5, 3])).shape, [5, 2]);
    /// assert_eq(m[0].weight.shape, [8, 3]);
    /// ```
    fn sequential(parts: Vec<Module>) -> Module { Module::sequential(parts) }

    /// Modules kept together, called `0`, `1`, ... in the state; read by index or in a `for` loop.
    ///
    /// # Shapes
    /// - none of its own
    /// # Errors
    /// `E0202` for anything but modules.
    /// # Example
    /// ```rhai
    /// let m = nn::list([nn::linear(3, 3), nn::linear(3, 3)]);
    /// let x = torch::ones([2, 3]);
    /// for layer in m { x = layer.forward(x); }
    /// assert_eq(x.shape, [2, 3]);
    /// ```
    fn list(parts: Vec<Module>) -> Module { Module::list(parts) }

    /// A named container for modules, parameters, buffers and other values. `m.forward = |m, x| ...` says what it computes; the function gets the
    /// group itself first, so that copies use their own parts.
    ///
    /// # Shapes
    /// - as its `forward` says
    /// # Errors
    /// `E0202` for a part that contains the group itself.
    /// # Example
    /// ```rhai
    /// let m = nn::group();
    /// m.body = nn::linear(3, 3);
    /// m.scale = nn::parameter(torch::ones([3]));
    /// m.forward = |m, x| m.body.forward(x) * m.scale;
    /// assert_eq(m.forward(torch::ones([2, 3])).shape, [2, 3]);
    /// assert_eq(m.count(), 15);
    /// ```
    fn group(parts: Option<Map>) -> Module {
        let m = Module::group();
        for (name, value) in parts.unwrap_or_default() {
            set_part(&m, &name, value)?;
        }
        Ok(m)
    }

    /// A function without parameters of its own as a module, for sequences.
    ///
    /// # Shapes
    /// - as the function says
    /// # Errors
    /// What the function throws.
    /// # Example
    /// ```rhai
    /// let m = nn::sequential([nn::linear(3, 4), nn::lambda(|x| x.relu() * 2)]);
    /// assert_eq(m.forward(torch::ones([2, 3])).shape, [2, 4]);
    /// ```
    fn lambda(f: FnPtr) -> Module {
        let m = Module::group();
        m.set_forward(Rc::new(move |_, inputs| {
            let args = inputs.iter().cloned().map(IntoScript::into_script).collect();
            with_caller(|cx| tensor_of("lambda", &cx.call(&f, args)?))
        }))?;
        Ok(m)
    }
}

/// The option `init`.
fn init(opts: &mut Kw) -> Result<LinearInit> {
    let Some(given) = opts.opt::<Dynamic>("init")? else { return Ok(LinearInit::Torch) };
    if let Some(std) = f64::from_dynamic(&given) {
        return Ok(LinearInit::Normal(std));
    }
    match String::from_dynamic(&given).as_deref() {
        Some("torch") => Ok(LinearInit::Torch),
        Some("xavier") => Ok(LinearInit::Xavier),
        Some("zeros") => Ok(LinearInit::Zeros),
        _ => Err(Error::value("init", format!("unknown first values `{given}`")).help("`torch`, `xavier`, `zeros`, or a standard deviation")),
    }
}

/// The option `approximate` of GELU.
fn approximate(opts: &mut Kw) -> Result<bool> {
    match opts.get("approximate", "none".to_owned())?.as_str() {
        "none" => Ok(false),
        "tanh" => Ok(true),
        other => Err(Error::value("gelu", format!("unknown approximation `{other}`")).help("`none` or `tanh`")),
    }
}

fn positive(layer: &str, sizes: &[(&str, i64)]) -> Result<()> {
    match sizes.iter().find(|(_, n)| *n < 1) {
        Some((name, n)) => Err(Error::value(layer, format!("`{name}` must be at least 1, got {n}"))),
        None => Ok(()),
    }
}
