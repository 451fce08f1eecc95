//! The centre crop of the ADM code base, which every latent-diffusion code since uses.
//!
//! While both sides are at least twice what is wanted, both are halved with a BOX filter; then the picture is scaled with BICUBIC
//! until it just covers what is wanted, for squares so that its shorter side is the resolution; then the middle is cut out
//! (`center_crop_arr` of openai/guided-diffusion, which knows squares alone). The result equals Pillow's, byte for byte.

use super::decode::Picture;
use super::draws::Stream;
use super::resize::{Filter, Window, resize};
use super::size::Size;
use crate::error::{Error, Result};
use std::borrow::Cow;

/// The middle of a picture at that size.
///
/// # Errors
/// `E0202` for an empty picture, or one whose longer side is more than 10,000 times its shorter.
pub fn center_crop(picture: &Picture, size: Size) -> Result<Picture> {
    cropped("center_crop", picture, size, size, |w, h| (w / 2, h / 2))
}

/// The share of the side that a random crop has at least, of the side that decides about the scale.
const LEAST: f64 = 0.8;

/// Some part of a picture at that size: it is scaled so that it just covers 1 to 1.25 times the size, and a window is cut out anywhere (`random_crop_arr` of
/// openai/guided-diffusion with its usual `min_crop_frac` of 0.8). `draw` decides; the same gives the same crop.
///
/// # Errors
/// As [`center_crop`].
pub fn random_crop(picture: &Picture, size: Size, draw: u64) -> Result<Picture> {
    let mut stream = Stream(draw);
    let shorter = size.height.min(size.width);
    let most = (shorter as f64 / LEAST).ceil() as usize;
    let drawn = shorter + stream.below(most.saturating_sub(shorter) + 1);
    // The longer side follows, rounded up: the window must fit.
    let grown = |side: usize| if shorter == 0 { 0 } else { (side * drawn).div_ceil(shorter) };
    let covered = Size { height: grown(size.height), width: grown(size.width) };
    cropped("random_crop", picture, size, covered, |w, h| {
        let y = stream.below(h + 1);
        (stream.below(w + 1), y)
    })
}

/// A picture scaled so that it just covers `covered`, and a window of `size` cut out where `place` says, given how far it can go to the right and down.
fn cropped(op: &str, picture: &Picture, size: Size, covered: Size, place: impl FnOnce(usize, usize) -> (usize, usize)) -> Result<Picture> {
    let mut picture = Cow::Borrowed(picture);
    let (w, h) = (picture.width, picture.height);
    let bad = |message: String| Error::value(op, message);
    if size.bytes() == 0 || w == 0 || h == 0 || picture.rgb.len() != w * h * 3 {
        return Err(bad(format!("a picture of {w} x {h} pixels and crops of {size}")));
    }
    if w.max(h) / w.min(h) > 10_000 {
        return Err(bad(format!("{w} x {h} pixels is too long and thin")));
    }
    while picture.width >= 2 * covered.width && picture.height >= 2 * covered.height {
        let (w, h) = (picture.width / 2, picture.height / 2);
        picture = Cow::Owned(resize(&picture, w, h, Filter::Box, Window { x: 0, y: 0, width: w, height: h }));
    }
    let (by_width, by_height) = (covered.width as f64 / picture.width as f64, covered.height as f64 / picture.height as f64);
    let scaled = |x: usize| (x as f64 * by_width.max(by_height)).round_ties_even() as usize;
    // The side that decided is exact.
    let (w, h) = (scaled(picture.width).max(covered.width), scaled(picture.height).max(covered.height));
    let (x, y) = place(w - size.width, h - size.height);
    let window = Window { x, y, width: size.width, height: size.height };
    Ok(resize(&picture, w, h, Filter::Bicubic, window))
}

/// Exchanges left and right in planes of rows of `width`.
pub fn mirror(planes: &mut [u8], width: usize) {
    planes.chunks_exact_mut(width.max(1)).for_each(<[u8]>::reverse);
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
    use sha2::{Digest, Sha256};
    use std::collections::{BTreeMap, BTreeSet};

    /// With Pillow 13: `s = max(W / w, H / h)` after halving by BOX, BICUBIC to `max(round(w s), W)` x `max(round(h s), H)`, then the middle.
    #[test]
    fn crops_that_are_no_squares_are_pillow_s() {
        let (w, h) = (150, 90);
        let picture = Picture { width: w, height: h, rgb: (0..w * h * 3).map(|i| (i * 37 % 251) as u8).collect() };
        for (height, width, sum) in [
            (32, 48, "c96869660793557b"),
            (48, 32, "644325bee400cd28"),
            (16, 64, "62cf67593312ccda"),
            (70, 20, "d1ad375191399717"),
            (90, 150, "4a634b4d23cfd4c4"),
            (100, 300, "1d23d9c129928af2"),
            (45, 75, "0c91fd460d69651c"),
        ] {
            let crop = center_crop(&picture, Size { height, width }).unwrap();
            assert_eq!((crop.height, crop.width), (height, width));
            assert_eq!(&crate::files::hex(&Sha256::digest(&crop.rgb))[..16], sum, "{height} x {width}");
        }
        for draw in 0..50 {
            let size = Size { height: 31, width: 77 };
            let crop = random_crop(&picture, size, draw).unwrap();
            assert_eq!((crop.height, crop.width, crop.rgb.len()), (31, 77, size.bytes()));
        }
    }

    #[test]
    fn random_crops_are_windows_of_the_scaled_picture_and_reach_all_of_it() {
        let (w, h, r) = (60, 40, 16);
        let size = Size::square(r);
        let rgb = (0..w * h * 3).map(|i| (i * 37 % 251) as u8).collect();
        let picture = Picture { width: w, height: h, rgb };
        // 40 is halved once for the sizes up to 20.
        let half = resize(&picture, w / 2, h / 2, Filter::Box, Window { x: 0, y: 0, width: w / 2, height: h / 2 });
        let (mut sizes, mut corners) = (BTreeSet::new(), BTreeSet::new());
        let mut windows = BTreeMap::new();
        for shorter in 16..=20 {
            let (w, h) = ((shorter as f64 * 1.5).round_ties_even() as usize, shorter);
            for (x, y) in (0..=w - r).flat_map(|x| (0..=h - r).map(move |y| (x, y))) {
                let window = resize(&half, w, h, Filter::Bicubic, Window { x, y, width: r, height: r });
                windows.insert(window.rgb, (shorter, (x, y)));
            }
        }
        for draw in 0..400u64 {
            let got = random_crop(&picture, size, draw).unwrap();
            assert_eq!((got.width, got.height), (r, r));
            let &(shorter, at) = windows.get(&got.rgb).expect("a window of one of the sizes");
            sizes.insert(shorter);
            if shorter == 20 {
                corners.insert(at);
            }
        }
        assert_eq!(sizes, (16..=20).collect());
        // 30 x 20 leaves 14 to the right and 4 down.
        let (right, down): (BTreeSet<usize>, BTreeSet<usize>) = (corners.iter().map(|c| c.0).collect(), corners.iter().map(|c| c.1).collect());
        assert_eq!((right.first(), right.last(), down), (Some(&0), Some(&14), (0..=4).collect()));
        assert_eq!(random_crop(&picture, size, 7).unwrap().rgb, random_crop(&picture, size, 7).unwrap().rgb);
        assert_eq!(random_crop(&picture, Size::square(0), 7).unwrap_err().code(), "E0202");
    }
}
