//! The centre crop of the ADM code base, which every latent-diffusion code since uses.
//!
//! While the shorter side is at least twice the resolution, both sides are halved with a BOX filter; then the picture is
//! scaled with BICUBIC so that its shorter side is the resolution; then the middle is cut out
//! (`center_crop_arr` of openai/guided-diffusion). The result equals Pillow's, byte for byte.

use super::decode::Picture;
use super::draws::Stream;
use super::resize::{Filter, Window, resize};
use crate::error::{Error, Result};
use std::borrow::Cow;

/// The middle of a picture at `resolution` x `resolution`.
///
/// # Errors
/// `E0202` for an empty picture, or one whose longer side is more than 10,000 times its shorter.
pub fn center_crop(picture: &Picture, resolution: usize) -> Result<Picture> {
    cropped("center_crop", picture, resolution, resolution, |w, h| (w / 2, h / 2))
}

/// The share of the shorter side that a random crop has at least.
const LEAST: f64 = 0.8;

/// Some square of a picture at `resolution` x `resolution`: it is scaled so that its shorter side is between `resolution` and 1.25 times that, and a window is cut out
/// anywhere (`random_crop_arr` of openai/guided-diffusion with its usual `min_crop_frac` of 0.8). `draw` decides; the same gives the same crop.
///
/// # Errors
/// As [`center_crop`].
pub fn random_crop(picture: &Picture, resolution: usize, draw: u64) -> Result<Picture> {
    let mut stream = Stream(draw);
    let most = (resolution as f64 / LEAST).ceil() as usize;
    let shorter = resolution + stream.below(most.saturating_sub(resolution) + 1);
    cropped("random_crop", picture, resolution, shorter, |w, h| {
        let y = stream.below(h + 1);
        (stream.below(w + 1), y)
    })
}

/// A picture scaled so that its shorter side is `shorter`, and a window cut out where `place` says, given how far it can go to the right and down.
fn cropped(op: &str, picture: &Picture, resolution: usize, shorter: usize, place: impl FnOnce(usize, usize) -> (usize, usize)) -> Result<Picture> {
    let mut picture = Cow::Borrowed(picture);
    let (w, h) = (picture.width, picture.height);
    let bad = |message: String| Error::value(op, message);
    if resolution == 0 || w == 0 || h == 0 || picture.rgb.len() != w * h * 3 {
        return Err(bad(format!("a picture of {w} x {h} pixels and a resolution of {resolution}")));
    }
    if w.max(h) / w.min(h) > 10_000 {
        return Err(bad(format!("{w} x {h} pixels is too long and thin")));
    }
    while picture.width.min(picture.height) >= 2 * shorter {
        let (w, h) = (picture.width / 2, picture.height / 2);
        picture = Cow::Owned(resize(&picture, w, h, Filter::Box, Window { x: 0, y: 0, width: w, height: h }));
    }
    let scale = shorter as f64 / picture.width.min(picture.height) as f64;
    let scaled = |x: usize| (x as f64 * scale).round_ties_even() as usize;
    let (w, h) = (scaled(picture.width), scaled(picture.height));
    let (x, y) = place(w - resolution, h - resolution);
    let window = Window { x, y, width: resolution, height: resolution };
    Ok(resize(&picture, w, h, Filter::Bicubic, window))
}

/// Exchanges left and right in planes of rows of `side`.
pub fn mirror(planes: &mut [u8], side: usize) {
    planes.chunks_exact_mut(side.max(1)).for_each(<[u8]>::reverse);
}

/// `[H, W, 3]` interleaved to `[3, H, W]` planes.
pub fn to_planes(rgb: &[u8], planes: &mut [u8]) {
    let n = planes.len() / 3;
    let (r, rest) = planes.split_at_mut(n);
    let (g, b) = rest.split_at_mut(n);
    for (((p, r), g), b) in rgb.chunks_exact(3).zip(r).zip(g).zip(b) {
        (*r, *g, *b) = (p[0], p[1], p[2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn random_crops_are_windows_of_the_scaled_picture_and_reach_all_of_it() {
        let (w, h, r) = (60, 40, 16);
        let rgb = (0..w * h * 3).map(|i| (i * 37 % 251) as u8).collect();
        let picture = Picture { width: w, height: h, rgb };
        // 40 is halved once for the sizes up to 20.
        let half = resize(&picture, w / 2, h / 2, Filter::Box, Window { x: 0, y: 0, width: w / 2, height: h / 2 });
        let (mut sizes, mut corners) = (BTreeSet::new(), BTreeSet::new());
        for draw in 0..400u64 {
            let got = random_crop(&picture, r, draw).unwrap();
            assert_eq!((got.width, got.height), (r, r));
            let found = (16..=20).find_map(|shorter| {
                let (w, h) = ((shorter as f64 * 1.5).round_ties_even() as usize, shorter);
                let window = |x, y| resize(&half, w, h, Filter::Bicubic, Window { x, y, width: r, height: r });
                (0..=w - r).flat_map(|x| (0..=h - r).map(move |y| (x, y))).find(|(x, y)| window(*x, *y).rgb == got.rgb).map(|at| (shorter, at))
            });
            let (shorter, at) = found.expect("a window of one of the sizes");
            sizes.insert(shorter);
            if shorter == 20 {
                corners.insert(at);
            }
        }
        assert_eq!(sizes, (16..=20).collect());
        // 30 x 20 leaves 14 to the right and 4 down.
        let (right, down): (BTreeSet<usize>, BTreeSet<usize>) = (corners.iter().map(|c| c.0).collect(), corners.iter().map(|c| c.1).collect());
        assert_eq!((right.first(), right.last(), down), (Some(&0), Some(&14), (0..=4).collect()));
        assert_eq!(random_crop(&picture, r, 7).unwrap().rgb, random_crop(&picture, r, 7).unwrap().rgb);
        assert_eq!(random_crop(&picture, 0, 7).unwrap_err().code(), "E0202");
    }
}
