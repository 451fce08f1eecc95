//! What a vision model can do.

use super::models::{dispatch, own};
use crate::api;
use crate::models::{Encoder, Lpips};
use crate::nn::Module;
use crate::script::value::{IntoScript, Kw};
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
    /// let message = "";
    /// try { models::discriminator().pooled(torch::zeros([1, 3, 64, 64])) } catch (e) { message = `${e.message}`; }
    /// assert(message.contains("has no `pooled`"), message);
    /// ```
    fn pooled[cx](encoder: Module, images: Tensor) -> Dynamic {
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
    /// let message = "";
    /// try { models::discriminator().maps(torch::zeros([1, 3, 64, 64])) } catch (e) { message = `${e.message}`; }
    /// assert(message.contains("has no `maps`"), message);
    /// ```
    fn maps[cx](encoder: Module, images: Tensor) -> Dynamic {
        if let Some(m) = encoder.model::<Lpips>() {
            return m.maps(&images).map(IntoScript::into_script);
        }
        dispatch::<Encoder>(cx, &encoder, &[Dynamic::from(images.clone())], |m| m.maps(&images).map(IntoScript::into_script))
    }

    /// Scores of the 1000 ImageNet classes.
    ///
    /// # Shapes
    /// - u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, 1000]`
    /// # Errors
    /// `E0202` for a module without a classifier.
    /// # Example
    /// ```rhai
    /// let message = "";
    /// try { models::discriminator().logits(torch::zeros([1, 3, 64, 64])) } catch (e) { message = `${e.message}`; }
    /// assert(message.contains("has no `logits`"), message);
    /// ```
    fn logits[cx](encoder: Module, images: Tensor) -> Dynamic {
        dispatch::<Encoder>(cx, &encoder, &[Dynamic::from(images.clone())], |m| m.logits(&images).map(Dynamic::from))
    }

    /// The width of a vision model's tokens.
    ///
    /// # Errors
    /// `E0202` for a module that is no vision model.
    /// # Example
    /// ```rhai
    /// let message = "";
    /// try { models::discriminator().dim } catch (e) { message = `${e.message}`; }
    /// assert(message.contains("has no `dim`"), message);
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
    /// let message = "";
    /// try { models::discriminator().grid } catch (e) { message = `${e.message}`; }
    /// assert(message.contains("has no `grid`"), message);
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
    /// let message = "";
    /// try { models::discriminator().resolution } catch (e) { message = `${e.message}`; }
    /// assert(message.contains("has no `resolution`"), message);
    /// ```
    fn resolution as "get$resolution"[cx](encoder: Module) -> Dynamic {
        match encoder.model::<Encoder>() {
            Some(m) => Ok(m.resolution().into()),
            None => own(cx, &encoder, &[]),
        }
    }
}
