//! EfficientNet-Lite0 with its real weights, on a real photograph. Without the weights (`make weights`) the test says so and ends.

use crate::support::root;
use lathe::models::{Encoder, EncoderOptions};
use lathe::nn::Module;
use lathe::torch::{DType, Tensor, no_grad};
use std::rc::Rc;

fn encoder(options: EncoderOptions) -> Option<(Module, Rc<Encoder>)> {
    match Encoder::module("efficientnet-lite0", options) {
        Ok(m) => m.model().map(|e| (m, e)),
        Err(e) if e.code() == "E0301" && std::env::var_os("LATHE_REQUIRE_WEIGHTS").is_none() => {
            eprintln!("not run: {e}");
            None
        }
        Err(e) => panic!("{e:?}"),
    }
}

/// The cat of the crop fixtures, its middle as u8 `[1, 3, side, side]`.
fn cat(side: u32) -> Tensor {
    let picture = image::open(root().join("tests/golden/crop/src_chelsea_palette.png")).expect("the fixture is there").to_rgb8();
    let square = picture.width().min(picture.height());
    let (x, y) = ((picture.width() - square) / 2, (picture.height() - square) / 2);
    let crop = image::imageops::crop_imm(&picture, x, y, square, square).to_image();
    let small = image::imageops::resize(&crop, side, side, image::imageops::FilterType::CatmullRom);
    Tensor::from_vec(small.as_raw(), &[1, i64::from(side), i64::from(side), 3]).unwrap().permute(&[0, 3, 1, 2]).unwrap()
}

#[test]
fn a_cat_is_a_cat() {
    let Some((_, encoder)) = encoder(EncoderOptions::default()) else { return };
    let scores = no_grad(|| encoder.logits(&cat(224))).unwrap().softmax(1).unwrap();
    let (values, classes) = scores.topk(3, 1, true).unwrap();
    println!("{:?} {:?}", values.to_vec_f32().unwrap(), classes.to_vec_i64().unwrap());
    let mut classes = classes.to_vec_i64().unwrap();
    classes.sort();
    assert_eq!(classes, [281, 282, 285], "tabby, tiger cat, Egyptian cat");
    assert!(values.sum(&[], false).unwrap().item().unwrap() > 0.7);
}

#[test]
fn features_have_the_grid_of_the_stride() {
    for (stride, dim, grid) in [(8, 40, 12), (16, 112, 6), (32, 320, 3)] {
        let options = EncoderOptions { resolution: Some([96; 2]), stride: Some(stride), ..EncoderOptions::default() };
        let Some((module, encoder)) = encoder(options) else { return };
        assert_eq!((encoder.dim(), encoder.grid_size()), (dim, [grid; 2]));
        let pixels = cat(64);
        let tokens = encoder.features(&pixels).unwrap();
        assert_eq!(tokens.shape(), [1, grid * grid, dim]);
        // The same picture as floats in [-1, 1] gives the same tokens, and a gradient.
        let floats = pixels.to_dtype(DType::Float).unwrap().div(127.5).unwrap().sub(1.0).unwrap().requires_grad_(true).unwrap();
        let again = encoder.features(&floats).unwrap();
        let difference = again.sub(&tokens).unwrap().abs().unwrap().max().unwrap().item().unwrap();
        assert!(difference < 1e-3, "{difference}");
        again.square().unwrap().mean(&[], false).unwrap().backward().unwrap();
        assert!(floats.grad().unwrap().expect("a gradient").norm().unwrap().item().unwrap() > 0.0);
        assert!(module.trainable().is_empty() && module.named_parameters().iter().all(|(_, t)| t.grad().unwrap().is_none()));
        assert_eq!(encoder.pooled(&pixels).unwrap().shape(), [1, 320]);
        assert_eq!(encoder.maps(&pixels).unwrap().iter().map(|m| m.shape()[1]).collect::<Vec<_>>(), [16, 24, 40, 112, 320]);
    }
}

#[test]
fn wrong_requests_say_what_exists() {
    let e = Encoder::module("efficientnet-lite1", EncoderOptions::default()).unwrap_err();
    assert!(e.help_text().unwrap_or_default().contains("efficientnet-lite0"), "{e:?}");
    let missing = EncoderOptions { weights: Some("/nowhere/at-all.pth".into()), ..EncoderOptions::default() };
    assert_eq!(Encoder::module("efficientnet-lite0", missing).unwrap_err().code(), "E0301");
    let stride = EncoderOptions { stride: Some(7), ..EncoderOptions::default() };
    assert_eq!(Encoder::module("efficientnet-lite0", stride).unwrap_err().code(), "E0202");
}
