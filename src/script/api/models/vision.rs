//! What a vision model can do.

use crate::api;
use crate::models::{Encoder, Inception, Lpips};
use crate::nn::Module;
use crate::script::api::models::{dispatch, own};
use crate::script::lang::value::{IntoScript, Kw};
use crate::torch::Tensor;
use rhai::{Dynamic, Map};

api! {
    methods Module;

    /// Tokens of pictures by a frozen vision model, which does its own resizing and normalisation. Gradients flow to float pictures.
    /// `preprocessed: true`: the input is normalised and of the model's resolution already.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, grid * grid, dim]`
    /// # Errors
    /// `E0202` for a module that is no vision model, or other pictures.
    /// # Example
    /// ```rhai
    /// let encoder = models::encoder("mae-vit-b", #{embed_dim: 16, depth: 1, heads: 2, resolution: 32, pretrained: false});
    /// let input = torch::randn([1, 3, 32, 32]);
    /// assert_eq(encoder.features(input, #{preprocessed: true}).shape, [1, 4, 16]);
    /// ```
    fn features[cx](encoder: Module, images: Tensor, opts: Option<Map>) -> Dynamic {
        let args: Vec<Dynamic> = std::iter::once(Dynamic::from(images.clone())).chain(opts.clone().map(Dynamic::from)).collect();
        dispatch::<Encoder>(cx, &encoder, &args, |m| {
            let mut kw = Kw::new("features", opts.unwrap_or_default());
            let preprocessed = kw.get("preprocessed", false)?;
            kw.done()?;
            if preprocessed { m.network().features(&images) } else { m.features(&images) }.map(Dynamic::from)
        })
    }

    /// One vector for each picture, for distances between sets of pictures.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, D]`
    /// # Errors
    /// `E0202` for a module that is no vision model, or other pictures.
    /// # Example
    /// ```rhai
    /// // A stand-in for a vision model: the mean of its tokens.
    /// let encoder = nn::group();
    /// encoder.patches = nn::patch_embed(3, 8, 4);
    /// encoder.pooled = |m, images| m.patches.forward(images).mean(1);
    /// assert_eq(encoder.pooled(torch::zeros([2, 3, 16, 16])).shape, [2, 8]);
    /// ```
    fn pooled[cx](encoder: Module, images: Tensor) -> Dynamic {
        if let Some(m) = encoder.model::<Inception>() {
            return m.activations(&images).map(|a| a.pool.into_script());
        }
        dispatch::<Encoder>(cx, &encoder, &[Dynamic::from(images.clone())], |m| m.pooled(&images).map(Dynamic::from))
    }

    /// Feature maps from fine to coarse, for perceptual distances. Of LPIPS: VGG16's relu1_2 to relu5_3.
    ///
    /// # Shapes
    /// - `[B, 3, H, W]` -> an array of `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a module that has none.
    /// # Example
    /// ```rhai
    /// // A stand-in for a vision model with maps at half and at a quarter of the size.
    /// let encoder = nn::group();
    /// encoder.fine = nn::conv2d(3, 4, 3, #{stride: 2, padding: 1});
    /// encoder.coarse = nn::conv2d(4, 8, 3, #{stride: 2, padding: 1});
    /// encoder.maps = |m, images| { let fine = m.fine.forward(images); [fine, m.coarse.forward(fine)] };
    /// assert_eq(encoder.maps(torch::zeros([1, 3, 16, 16])).map(|x| x.shape), [[1, 4, 8, 8], [1, 8, 4, 4]]);
    /// ```
    fn maps[cx](encoder: Module, images: Tensor) -> Dynamic {
        if let Some(m) = encoder.model::<Lpips>() {
            return m.maps(&images).map(IntoScript::into_script);
        }
        dispatch::<Encoder>(cx, &encoder, &[Dynamic::from(images.clone())], |m| m.maps(&images).map(IntoScript::into_script))
    }

    /// What ADM's evaluation takes from Inception in one pass: `#{pool, spatial, logits}`, the features behind FID, precision and recall, those
    /// behind sFID, and the logits without bias behind the Inception Score.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `pool`: `[B, 2048]`, `spatial`: `[B, 2023]`, `logits`: `[B, 1008]`
    /// # Errors
    /// `E0202` for a module that is not Inception, or other pictures.
    /// # Example
    /// ```rhai
    /// let out = models::inception(#{pretrained: false}).activations(torch::zeros([1, 3, 32, 32]));
    /// assert_eq([out.pool.shape, out.spatial.shape, out.logits.shape], [[1, 2048], [1, 2023], [1, 1008]]);
    /// ```
    fn activations[cx](encoder: Module, images: Tensor) -> Dynamic {
        dispatch::<Inception>(cx, &encoder, &[Dynamic::from(images.clone())], |m| {
            let a = m.activations(&images)?;
            let fields = [("pool", a.pool), ("spatial", a.spatial), ("logits", a.logits)];
            Ok(Dynamic::from(fields.into_iter().map(|(k, t)| (k.into(), t.into_script())).collect::<Map>()))
        })
    }

    /// Scores of the 1000 ImageNet classes (Inception: 1008).
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, 1000]`
    /// # Errors
    /// `E0202` for a module without a classifier.
    /// # Example
    /// ```rhai
    /// // A stand-in for a vision model with ten classes.
    /// let encoder = nn::group();
    /// encoder.head = nn::linear(3, 10);
    /// encoder.logits = |m, images| m.head.forward(images.mean([2, 3]));
    /// assert_eq(encoder.logits(torch::zeros([2, 3, 16, 16])).argmax(1).shape, [2]);
    /// ```
    fn logits[cx](encoder: Module, images: Tensor) -> Dynamic {
        if let Some(m) = encoder.model::<Inception>() {
            return m.logits(&images).map(IntoScript::into_script);
        }
        dispatch::<Encoder>(cx, &encoder, &[Dynamic::from(images.clone())], |m| m.logits(&images).map(Dynamic::from))
    }

    /// The width of a vision model's tokens.
    ///
    /// # Errors
    /// `E0202` for a module that is no vision model.
    /// # Example
    /// ```rhai
    /// // A stand-in says its width itself.
    /// let encoder = nn::group();
    /// encoder.dim = 8;
    /// assert_eq(nn::linear(encoder.dim, 2).state().weight.shape, [2, 8]);
    /// ```
    fn dim as "get$dim"[cx](encoder: Module) -> Dynamic {
        match encoder.model::<Encoder>() {
            Some(m) => Ok(m.dim().into()),
            None => own(cx, &encoder, &[]),
        }
    }

    /// A vision model's tokens along one side of a picture.
    ///
    /// # Errors
    /// `E0202` for a module that is no vision model.
    /// # Example
    /// ```rhai
    /// // A stand-in says its grid itself: 4 x 4 tokens.
    /// let encoder = nn::group();
    /// encoder.grid = 4;
    /// assert_eq(nn::sincos_2d(8, encoder.grid, encoder.grid).shape, [16, 8]);
    /// ```
    fn grid as "get$grid"[cx](encoder: Module) -> Dynamic {
        match encoder.model::<Encoder>() {
            Some(m) => Ok(m.grid().into()),
            None => own(cx, &encoder, &[]),
        }
    }

    /// The side in pixels to which a vision model resizes pictures.
    ///
    /// # Errors
    /// `E0202` for a module that is no vision model.
    /// # Example
    /// ```rhai
    /// // A stand-in says its resolution itself.
    /// let encoder = nn::group();
    /// encoder.resolution = 32;
    /// assert_eq(F::interpolate(torch::zeros([1, 3, 8, 8]), #{size: [encoder.resolution, encoder.resolution]}).shape, [1, 3, 32, 32]);
    /// ```
    fn resolution as "get$resolution"[cx](encoder: Module) -> Dynamic {
        match encoder.model::<Encoder>() {
            Some(m) => Ok(m.resolution().into()),
            None => own(cx, &encoder, &[]),
        }
    }
}
