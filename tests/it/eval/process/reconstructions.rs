//! Reconstructions beside their pictures: rFID, PSNR, SSIM and LPIPS against the library's own functions on the same pixels.

use super::pictures::{decoded, npz, planes};
use super::run::{evaluate, figure, number, refused};
use super::weights;
use crate::support::{path, pictures};
use lathe::eval::{feature_stats, frechet, psnr, ssim};
use lathe::models::{Inception, Lpips};
use lathe::nn::read_state;
use lathe::torch::{DType, Tensor, no_grad};

fn mean(t: &Tensor) -> f64 {
    t.to_dtype(DType::Double).unwrap().mean(&[], false).unwrap().item().unwrap()
}

#[test]
fn figures_of_pairs_are_those_of_the_functions() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let real = pictures(at("real"), "bun", 0, 8);
    let x = decoded(&real);
    // A reconstruction that lost two bits of each value; the last picture came out whole.
    let coarse = x.narrow(0, 0, 7).unwrap().to_dtype(DType::Int).unwrap().div(4.0).unwrap().floor().unwrap().mul(4.0).unwrap();
    let y = Tensor::cat(&[coarse.to_dtype(DType::Uint8).unwrap(), x.narrow(0, 7, 1).unwrap()], 0).unwrap();
    let recon = npz(at("recon.npz"), &[("arr_0", &y)]);
    let [vgg, heads] = weights::lpips();
    let both = format!("{},{}", path(vgg), path(heads));
    let flags = ["--task", "reconstruction", "--batch", "3", "--weights", path(weights::inception()), "--lpips-weights", &both];
    let (found, said) = evaluate(&recon, &real, &at("out"), &flags);

    let (a, b) = (planes(&y), planes(&x));
    let near = |name: &str, want: f64, limit: f64| {
        let got = number(&figure(&found, name)["value"]);
        assert!((got - want).abs() <= limit * want.abs(), "{name}: {got}, expected {want}");
    };
    // Of the seven that differ: an equal picture has no finite PSNR.
    near("PSNR", mean(&psnr(&a.narrow(0, 0, 7).unwrap(), &b.narrow(0, 0, 7).unwrap(), None).unwrap()), 1e-9);
    near("SSIM", mean(&ssim(&a, &b, None).unwrap()), 1e-9);
    let module = Lpips::with_state(&weights::lpips().iter().flat_map(|f| read_state(f, None).unwrap()).collect()).unwrap();
    let unit = |t: &Tensor| t.to_dtype(DType::Float).unwrap().div(255.0).unwrap();
    near("LPIPS", mean(&no_grad(|| module.forward(&[unit(&a), unit(&b)])).unwrap()), 1e-5);
    let net = Inception::with_state(&read_state(weights::inception(), None).unwrap()).unwrap();
    let stats = |t: &Tensor| feature_stats(&no_grad(|| net.model::<Inception>().unwrap().activations(t)).unwrap().pool).unwrap();
    let (s, t) = (stats(&a), stats(&b));
    near("rFID", frechet(&s.mu, &s.cov, &t.mu, &t.cov).unwrap(), 1e-3);
    let counts: Vec<_> = ["PSNR", "SSIM", "LPIPS", "rFID"].iter().map(|n| number(&figure(&found, n)["n"]) as i64).collect();
    assert_eq!(counts, [7, 8, 8, 8]);
    assert_eq!(number(&figure(&found, "rFID")["floor_n"]), 4.0);
    assert!(said.contains("two real halves of 4") && said.contains("8 pictures are fewer than the 2048 features"), "{said}");

    // Weights of one part alone, and a file that is missing.
    let alone = ["--task", "reconstruction", "--lpips-weights", path(vgg)];
    let other = at("other");
    refused(&recon, &real, &other, &alone, &["5 missing", "lin0.model.1.weight"]);
    let nowhere = ["--task", "reconstruction", "--lpips-weights", "nowhere.pth"];
    refused(&recon, &real, &other, &nowhere, &["nowhere.pth"]);
}
