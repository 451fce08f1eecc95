//! What a vision model can do.

use crate::api;
use crate::models::{Encoder, Inception, Lpips};
use crate::script::bind::Model;
use crate::torch::Tensor;
use rhai::{Dynamic, Map};

api! {
    model Encoder as "encoder";

    /// Tokens of pictures by a frozen vision model, which does its own resizing and normalisation. Gradients flow to float pictures.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, rows * columns, dim]`, row by row
    /// # Errors
    /// `E0202` for a module without it, or other pictures.
    /// # Example
    /// ```rhai
    /// let encoder = models::encoder("mae-vit-b", #{embed_dim: 16, depth: 1, heads: 2, resolution: 32, pretrained: false});
    /// let input = torch::randn([1, 3, 32, 32]);
    /// assert_eq(encoder.features(input, #{preprocessed: true}).shape, [1, 4, 16]);
    /// ```
    fn features(encoder: Model<Encoder>, images: Tensor;
        /// whether the input is normalised and of the model's resolution already
        preprocessed: bool = false,
    ) -> Tensor {
        if preprocessed { encoder.network().features(&images) } else { encoder.features(&images) }
    }

    /// One vector for each picture, for distances between sets of pictures.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, D]`
    /// # Errors
    /// `E0202` for a module without it, or other pictures.
    /// # Example
    /// ```rhai
    /// // A stand-in for a vision model: the mean of its tokens.
    /// let encoder = nn::group();
    /// encoder.patches = nn::patch_embed(3, 8, 4);
    /// encoder.pooled = |m, images| m.patches.forward(images).mean(1);
    /// assert_eq(encoder.pooled(torch::zeros([2, 3, 16, 16])).shape, [2, 8]);
    /// ```
    fn pooled(encoder: Model<Encoder>, images: Tensor) -> Tensor { encoder.pooled(&images) }

    /// Feature maps from fine to coarse, for perceptual distances.
    ///
    /// # Shapes
    /// - `[B, 3, H, W]` -> an array of `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// // A stand-in for a vision model with maps at half and at a quarter of the size.
    /// let encoder = nn::group();
    /// encoder.fine = nn::conv2d(3, 4, 3, #{stride: 2, padding: 1});
    /// encoder.coarse = nn::conv2d(4, 8, 3, #{stride: 2, padding: 1});
    /// encoder.maps = |m, images| { let fine = m.fine.forward(images); [fine, m.coarse.forward(fine)] };
    /// assert_eq(encoder.maps(torch::zeros([1, 3, 16, 16])).map(|x| x.shape), [[1, 4, 8, 8], [1, 8, 4, 4]]);
    /// ```
    fn maps(encoder: Model<Encoder>, images: Tensor) -> Vec<Tensor> { encoder.maps(&images) }

    /// Scores of the 1000 ImageNet classes.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, 1000]`
    /// # Errors
    /// `E0202` for a module without it, or a vision model without a classifier.
    /// # Example
    /// ```rhai
    /// // A stand-in for a vision model with ten classes.
    /// let encoder = nn::group();
    /// encoder.head = nn::linear(3, 10);
    /// encoder.logits = |m, images| m.head.forward(images.mean([2, 3]));
    /// assert_eq(encoder.logits(torch::zeros([2, 3, 16, 16])).argmax(1).shape, [2]);
    /// ```
    fn logits(encoder: Model<Encoder>, images: Tensor) -> Tensor { encoder.logits(&images) }

    /// The width of a vision model's tokens.
    ///
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// // A stand-in says its width itself.
    /// let encoder = nn::group();
    /// encoder.dim = 8;
    /// assert_eq(nn::linear(encoder.dim, 2).state().weight.shape, [2, 8]);
    /// ```
    fn dim as "get$dim"(encoder: Model<Encoder>) -> i64 { Ok(encoder.dim()) }

    /// A vision model's tokens along one side of a square picture.
    ///
    /// # Errors
    /// `E0202` for a module without it, and for pictures that are no squares: `encoder.grid_size` says the rows and columns of any.
    /// # Example
    /// ```rhai
    /// // A stand-in says its grid itself: 4 x 4 tokens.
    /// let encoder = nn::group();
    /// encoder.grid = 4;
    /// assert_eq(nn::sincos_2d(8, encoder.grid, encoder.grid).shape, [16, 8]);
    /// ```
    fn grid as "get$grid"(encoder: Model<Encoder>) -> i64 { encoder.grid() }

    /// The rows and columns of a vision model's tokens, `[rows, columns]`.
    ///
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// let sizes = #{embed_dim: 16, depth: 1, heads: 2, pretrained: false};
    /// let encoder = models::encoder("mae-vit-b", sizes + #{pictures: [32, 48]});
    /// assert_eq(encoder.grid_size, [2, 3]);
    /// assert_eq(encoder.features(torch::zeros([1, 3, 32, 48])).unflatten(1, encoder.grid_size).shape, [1, 2, 3, 16]);
    /// ```
    fn grid_size as "get$grid_size"(encoder: Model<Encoder>) -> Vec<i64> { Ok(encoder.grid_size().to_vec()) }

    /// The side in pixels of the square to which a vision model resizes pictures.
    ///
    /// # Errors
    /// `E0202` for a module without it, and for an input that is no square: `encoder.input_size` says the height and width of any.
    /// # Example
    /// ```rhai
    /// // A stand-in says its resolution itself.
    /// let encoder = nn::group();
    /// encoder.resolution = 32;
    /// assert_eq(F::interpolate(torch::zeros([1, 3, 8, 8]), #{size: [encoder.resolution, encoder.resolution]}).shape, [1, 3, 32, 32]);
    /// ```
    fn resolution as "get$resolution"(encoder: Model<Encoder>) -> i64 { encoder.resolution() }

    /// The height and width in pixels to which a vision model resizes pictures, `[H, W]`.
    ///
    /// # Errors
    /// `E0202` for a module without it.
    /// # Example
    /// ```rhai
    /// let sizes = #{embed_dim: 16, depth: 1, heads: 2, pretrained: false};
    /// // Patches of 14 pixels see 14/16 of each side.
    /// assert_eq(models::encoder("dinov2-vit-b", sizes + #{pictures: [32, 48]}).input_size, [28, 42]);
    /// ```
    fn input_size as "get$input_size"(encoder: Model<Encoder>) -> Vec<i64> { Ok(encoder.input_size().to_vec()) }
}

api! {
    fn inception_functions;
    model Inception as "inception";

    /// What ADM's evaluation takes from Inception in one pass: `#{pool, spatial, logits}`, the features behind FID, precision and recall, those
    /// behind sFID, and the logits without bias behind the Inception Score.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `pool`: `[B, 2048]`, `spatial`: `[B, 2023]`, `logits`: `[B, 1008]`
    /// # Errors
    /// `E0202` for a module without it, or other pictures.
    /// # Example
    /// ```rhai
    /// let out = models::inception(#{pretrained: false}).activations(torch::zeros([1, 3, 32, 32]));
    /// assert_eq([out.pool.shape, out.spatial.shape, out.logits.shape], [[1, 2048], [1, 2023], [1, 1008]]);
    /// ```
    fn activations(net: Model<Inception>, images: Tensor) -> Map {
        let a = net.activations(&images)?;
        let fields = [("pool", a.pool), ("spatial", a.spatial), ("logits", a.logits)];
        Ok(fields.into_iter().map(|(k, t)| (k.into(), Dynamic::from(t))).collect())
    }

    /// One vector for each picture, the features behind FID.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, 2048]`
    /// # Errors
    /// `E0202` for a module without it, or other pictures.
    /// # Example
    /// ```rhai
    /// assert_eq(models::inception(#{pretrained: false}).pooled(torch::zeros([1, 3, 32, 32])).shape, [1, 2048]);
    /// ```
    fn pooled(net: Model<Inception>, images: Tensor) -> Tensor { Ok(net.activations(&images)?.pool) }

    /// Scores of Inception's 1008 classes.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, 1008]`
    /// # Errors
    /// `E0202` for a module without it, or other pictures.
    /// # Example
    /// ```rhai
    /// assert_eq(models::inception(#{pretrained: false}).logits(torch::zeros([1, 3, 32, 32])).shape, [1, 1008]);
    /// ```
    fn logits(net: Model<Inception>, images: Tensor) -> Tensor { net.logits(&images) }
}

api! {
    fn lpips_functions;
    model Lpips as "lpips";

    /// Feature maps from fine to coarse: VGG16's relu1_2 to relu5_3.
    ///
    /// # Shapes
    /// - `[B, 3, H, W]` -> an array of `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module without it, or other pictures.
    /// # Example
    /// ```rhai
    /// // The weights are a file to fetch: what it gives is what `maps` of a stand-in gives.
    /// let net = nn::group();
    /// net.fine = nn::conv2d(3, 4, 3, #{stride: 2, padding: 1});
    /// net.maps = |m, images| [m.fine.forward(images)];
    /// assert_eq(net.maps(torch::zeros([1, 3, 16, 16]))[0].shape, [1, 4, 8, 8]);
    /// ```
    fn maps(net: Model<Lpips>, images: Tensor) -> Vec<Tensor> { net.maps(&images) }
}
