//! `nn::`, constructors of layers, groups and parameters. Names, defaults and first values are PyTorch's (timm's for attention,
//! MLP, patch embedding and transformer block).

pub mod digest;

use crate::error::Result;
use crate::nn::Module;
use crate::nn::bounds::{WIDEST, within};
use crate::nn::layers::{
    Activation, Attention, AttentionOptions, BatchNorm2d, BatchNormOptions, BlockOptions, Conv2d, Conv2dOptions, Dropout, Embedding, GroupNorm,
    LayerNorm, Linear, LinearInit, Mlp, PatchEmbed, RmsNorm, SwiGlu, SwiGluOptions, TransformerBlock, patchify, sincos_2d,
};
use crate::script::api::f::vision::two_of;
use crate::script::api::module::parts::{set_part, tensor_of};
use crate::script::api::tensor::math::Approximate;
use crate::script::bind::with_caller;
use crate::script::lang::value::{Dims, FromArg, IntoScript};
use crate::torch::Tensor;
use crate::{api, options};
use rhai::{Dynamic, FnPtr, Map};
use std::rc::Rc;

api! {
    namespace "nn";

    /// Root mean square normalisation over the last dimension (arXiv 1910.07467); the mean is taken in f32 at least.
    ///
    /// # Shapes
    /// - `[.., size]` -> the same; `weight`: `[size]`
    /// # Errors
    /// `E0202` for a size below 1 or an unknown option.
    /// # Example
    /// ```rhai
    /// let m = nn::rms_norm(2);
    /// assert_close(m.forward(torch::tensor([3.0, 4.0])).square().mean().item(), 1.0, #{atol: 1e-5});
    /// ```
    fn rms_norm(size: i64;
        /// added to the mean square
        eps: f64[0.0..] = 1e-6,
        /// whether there is a weight
        affine: bool = true,
        /// whether the weight multiplies before the result is cast back to the dtype of x (JiT), or after (LightningDiT, RAE)
        in_float: bool = false,
    ) -> Module {
        positive("rms_norm", &[("size", size)])?;
        RmsNorm::module(size, eps, affine, in_float)
    }

    /// Affine map `x @ weight.t() + bias`.
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
    fn linear(inputs: i64, outputs: i64;
        /// whether there is a bias
        bias: bool = true,
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init: LinearInit = LinearInit::Torch,
    ) -> Module {
        positive("linear", &[("inputs", inputs), ("outputs", outputs)])?;
        Linear::module(inputs, outputs, bias, init)
    }

    /// 2-D convolution.
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
    fn conv2d(inputs: i64, outputs: i64, kernel_size: Dims; options: Conv2dOptions) -> Module {
        positive("conv2d", &[("inputs", inputs), ("outputs", outputs)])?;
        Conv2d::module(inputs, outputs, two_of("conv2d", "kernel_size", &kernel_size.0)?, options)
    }

    /// Normalises the last dimension.
    ///
    /// # Shapes
    /// - `[.., dim]` -> the same; `weight`, `bias`: `[dim]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::layer_norm(8).forward(torch::randn([2, 8])).shape, [2, 8]);
    /// ```
    fn layer_norm(dim: i64;
        /// added to the variance
        eps: f64 = 1e-5,
        /// whether there are a weight and a bias
        affine: bool = true,
    ) -> Module {
        positive("layer_norm", &[("dim", dim)])?;
        LayerNorm::module(dim, eps, affine)
    }

    /// Normalises groups of channels.
    ///
    /// # Shapes
    /// - `[B, channels, ..]` -> the same; `weight`, `bias`: `[channels]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::group_norm(2, 8).forward(torch::randn([2, 8, 4, 4])).shape, [2, 8, 4, 4]);
    /// ```
    fn group_norm(groups: i64, channels: i64;
        /// added to the variance
        eps: f64 = 1e-5,
        /// whether there are a weight and a bias
        affine: bool = true,
    ) -> Module {
        positive("group_norm", &[("groups", groups), ("channels", channels)])?;
        GroupNorm::module(groups, channels, eps, affine)
    }

    /// Normalises each channel: by the batch in training, updating the running statistics, else by those.
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
    fn batch_norm2d(channels: i64; options: BatchNormOptions) -> Module {
        positive("batch_norm2d", &[("channels", channels)])?;
        BatchNorm2d::module(channels, options)
    }

    /// A table of vectors, drawn from N(0, std).
    ///
    /// # Shapes
    /// - i64 `[..]` -> `[.., dim]`; `weight`: `[rows, dim]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::embedding(10, 4).forward(torch::tensor([3, 5])).shape, [2, 4]);
    /// ```
    fn embedding(rows: i64, dim: i64;
        /// deviation of the first values
        std: f64 = 1.0,
    ) -> Module {
        positive("embedding", &[("rows", rows), ("dim", dim)])?;
        Embedding::module(rows, dim, std)
    }

    /// Multi-head self-attention as timm's: parameters `qkv` (fused) and `proj`.
    ///
    /// # Shapes
    /// - `[B, N, dim]` -> the same
    /// # Errors
    /// `E0202` when the heads do not divide the width.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::attention(16, 4).forward(torch::randn([2, 9, 16])).shape, [2, 9, 16]);
    /// ```
    fn attention(dim: i64, heads: i64; options: AttentionOptions) -> Module {
        Attention::module(dim, AttentionOptions { heads, ..options })
    }

    /// `fc2(gelu(fc1(x)))`; as many outputs as inputs unless given.
    ///
    /// # Shapes
    /// - `[.., inputs]` -> `[.., outputs]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::mlp(8, 32).forward(torch::randn([2, 8])).shape, [2, 8]);
    /// ```
    fn mlp(inputs: i64, hidden: i64, outputs: Option<i64>;
        /// `"tanh"` for the approximation of GELU by tanh
        approximate: Approximate = Approximate::None,
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init: LinearInit = LinearInit::Torch,
    ) -> Module {
        let outputs = outputs.unwrap_or(inputs);
        positive("mlp", &[("inputs", inputs), ("hidden", hidden), ("outputs", outputs)])?;
        Mlp::module(inputs, hidden, outputs, approximate.is_tanh(), init)
    }

    /// The gated perceptron `out(silu(gate(x)) * value(x))` (SwiGLU, arXiv 2002.05202).
    ///
    /// # Shapes
    /// - `[.., inputs]` -> `[.., outputs]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other, for other than two or three names, or an unknown option.
    /// # Example
    /// ```rhai
    /// let m = nn::swiglu(8, 16);
    /// assert_eq(m.forward(torch::randn([2, 8])).shape, [2, 8]);
    /// assert_eq(m.parameter_names(), ["w12.weight", "w12.bias", "w3.weight", "w3.bias"]);
    /// ```
    fn swiglu(inputs: i64, hidden: i64;
        /// outputs; as many as inputs unless given
        out: Option<i64>,
        /// names of the map to gate and value and of the one after, or of gate, value and the one after; `["w12", "w3"]` unless given
        names: Option<Vec<String>>,
        /// whether the maps have biases
        bias: bool = true,
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init: LinearInit = LinearInit::Torch,
    ) -> Module {
        let outputs = out.unwrap_or(inputs);
        positive("swiglu", &[("inputs", inputs), ("hidden", hidden), ("out", outputs)])?;
        let names = names.unwrap_or_else(|| vec!["w12".into(), "w3".into()]);
        SwiGlu::module(SwiGluOptions { sizes: [inputs, hidden, outputs], names, bias, init })
    }

    /// Patches as tokens, row by row, through one linear map; its parameters are those of a convolution, `proj`.
    ///
    /// # Shapes
    /// - `[B, channels, H, W]` -> `[B, (H / patch) * (W / patch), dim]`
    /// # Errors
    /// `E0202` for sizes that do not fit each other or an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::patch_embed(3, 16, 4).forward(torch::randn([2, 3, 8, 8])).shape, [2, 4, 16]);
    /// ```
    fn patch_embed(channels: i64, dim: i64, patch: i64;
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init: LinearInit = LinearInit::Torch,
    ) -> Module {
        positive("patch_embed", &[("channels", channels), ("dim", dim), ("patch", patch)])?;
        PatchEmbed::module(channels, dim, patch, init)
    }

    /// Plain pre-LN transformer block, `x += attn(norm1(x)); x += mlp(norm2(x))`.
    ///
    /// # Shapes
    /// - `[B, N, dim]` -> the same
    /// # Errors
    /// `E0202` when the heads do not divide the width.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::transformer_block(16, 4).forward(torch::randn([2, 9, 16])).shape, [2, 9, 16]);
    /// ```
    fn transformer_block(dim: i64, heads: i64;
        options: BlockOptions,
        /// `"tanh"` for the approximation of GELU by tanh
        approximate: Approximate = Approximate::None,
    ) -> Module {
        TransformerBlock::module(dim, BlockOptions { heads, tanh: approximate.is_tanh(), ..options })
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

impl FromArg for LinearInit {
    const NAME: &'static str = "a string or a number";
    const CHOICES: &'static [&'static str] = &["torch", "xavier", "zeros"];
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if let Some(std) = f64::from_dynamic(d) {
            return Some(LinearInit::Normal(std));
        }
        match String::from_dynamic(d)?.as_str() {
            "torch" => Some(LinearInit::Torch),
            "xavier" => Some(LinearInit::Xavier),
            "zeros" => Some(LinearInit::Zeros),
            _ => None,
        }
    }
    fn text(&self) -> Option<String> {
        (*self == LinearInit::Torch).then(|| "\"torch\"".to_owned())
    }
}

options! {
    Conv2dOptions {
        /// steps between windows
        stride,
        /// zeros on each side
        padding,
        /// steps between the elements of the kernel
        dilation,
        /// groups of channels that do not mix
        groups,
        /// whether there is a bias
        bias,
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init,
    }
    BatchNormOptions {
        /// added to the variance
        eps,
        /// weight of the batch in the running statistics
        momentum,
        /// whether there are a weight and a bias
        affine,
        /// whether several processes that train together share their statistics, as one would have them
        sync,
    }
    AttentionOptions {
        /// whether the map to queries, keys and values has a bias
        qkv_bias,
        /// whether queries and keys are normalised
        qk_norm,
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init,
    }
    BlockOptions {
        /// width of the hidden layer over the width
        mlp_ratio,
        /// whether the map to queries, keys and values has a bias
        qkv_bias,
        /// whether queries and keys are normalised
        qk_norm,
        /// added to the variance in the norms
        eps,
        /// first values: `torch` (PyTorch's own), `xavier` (uniform, zero bias), `zeros`, or the deviation of a normal distribution with zero bias
        init,
    }
}

/// Sizes of a layer: an embedding may have as many rows as there are.
fn positive(layer: &str, sizes: &[(&str, i64)]) -> Result<()> {
    sizes.iter().try_for_each(|(name, n)| within(layer, &[(name, *n)], if *name == "rows" { i64::from(i32::MAX) } else { WIDEST }))
}
