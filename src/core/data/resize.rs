//! Pillow's `Image.resize` for 8-bit RGB, byte for byte: BOX and BICUBIC (a = -0.5, antialiased).
//!
//! Two passes, rows first (but see `vertical_first`), each in fixed point with 22 fractional bits and rounded to 8 bits (Pillow's `Resample.c`).
//! Only the asked-for window of the result is computed.

use super::decode::Picture;
use multiversion::multiversion;

/// A resampling filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// The mean of what a pixel covers.
    Box,
    /// Cubic convolution with a = -0.5.
    Bicubic,
}

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first column.
    pub(crate) x: usize,
    /// The first row.
    pub(crate) y: usize,
    /// Columns.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
}

const PRECISION_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Samples that are summed together: eight vectors of AVX2.
const LANES: usize = 64;
/// Rows in a tile of the first pass, four bytes a pixel.
const ROWS: usize = LANES / 4;

impl Filter {
    fn support(self) -> f64 {
        match self {
            Filter::Box => 0.5,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let d = x.abs();
        match self {
            Filter::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Filter::Bicubic if d < 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
            Filter::Bicubic if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * A,
            Filter::Bicubic => 0.0,
        }
    }
}

/// For each output position, where its taps begin and their fixed-point weights.
struct Taps {
    starts: Vec<usize>,
    /// `counts[i]` weights at `i * stride`.
    counts: Vec<usize>,
    weights: Vec<i32>,
    stride: usize,
}

impl Taps {
    /// The taps of outputs `first..first + len` of a line of `input` samples scaled to `output`.
    fn new(filter: Filter, input: usize, output: usize, first: usize, len: usize) -> Taps {
        let scale = input as f64 / output as f64;
        let filter_scale = scale.max(1.0);
        let support = filter.support() * filter_scale;
        let stride = support.ceil() as usize * 2 + 1;
        let inverse = 1.0 / filter_scale;
        let mut taps = Taps { starts: Vec::with_capacity(len), counts: Vec::with_capacity(len), weights: vec![0; len * stride], stride };
        let mut exact = Vec::with_capacity(stride);
        for i in 0..len {
            let center = ((first + i) as f64 + 0.5) * scale;
            // A float-to-int cast truncates towards zero and saturates at zero, as the C code's clamp does.
            let start = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            exact.clear();
            exact.extend((start..end).map(|x| filter.weight((x as f64 - center + 0.5) * inverse)));
            let sum: f64 = exact.iter().sum();
            for (w, out) in exact.iter().zip(&mut taps.weights[i * stride..]) {
                let w = if sum == 0.0 { *w } else { w / sum } * f64::from(1 << PRECISION_BITS);
                *out = if w < 0.0 { w - 0.5 } else { w + 0.5 } as i32;
            }
            taps.starts.push(start);
            taps.counts.push(exact.len());
        }
        taps
    }

    fn weights(&self, i: usize) -> &[i32] {
        &self.weights[i * self.stride..][..self.counts[i]]
    }

    /// The first sample that any output needs, and one past the last.
    fn range(&self) -> (usize, usize) {
        let first = self.starts.first().copied().unwrap_or(0);
        let last = self.starts.len().checked_sub(1).map_or(first, |i| self.starts[i] + self.counts[i]);
        (first, last)
    }
}

/// The window of `source` scaled to `width` x `height`, as Pillow computes it.
///
/// The window must lie within the scaled picture.
pub(crate) fn resize(source: &Picture, width: usize, height: usize, filter: Filter, window: Window) -> Picture {
    assert!(window.x + window.width <= width && window.y + window.height <= height, "the window lies within the picture");
    if width != source.width && vertical_first(source, width, height) {
        return vertical_then_horizontal(source, width, height, filter, window);
    }
    let vertical = (height != source.height).then(|| Taps::new(filter, source.height, height, window.y, window.height));
    let (first, last) = vertical.as_ref().map_or((window.y, window.y + window.height), Taps::range);
    let row = source.width * 3;
    let rows = &source.rgb[first * row..last * row];
    let narrow = if width == source.width {
        let (a, b) = (window.x * 3, (window.x + window.width) * 3);
        rows.chunks_exact(row).flat_map(|r| &r[a..b]).copied().collect()
    } else {
        let taps = Taps::new(filter, source.width, width, window.x, window.width);
        let mut out = vec![0; (last - first) * window.width * 3];
        horizontal(rows, row, &taps, &mut out, window.width * 3);
        out
    };
    let Some(mut taps) = vertical else {
        return Picture { width: window.width, height: window.height, rgb: narrow };
    };
    taps.starts.iter_mut().for_each(|s| *s -= first);
    let mut rgb = vec![0; window.width * window.height * 3];
    for (i, out) in rgb.chunks_exact_mut(window.width * 3).enumerate() {
        let rows = &narrow[taps.starts[i] * window.width * 3..];
        line(rows, window.width * 3, taps.weights(i), out);
    }
    Picture { width: window.width, height: window.height, rgb }
}

/// Pillow 13 begins with the columns where the height shrinks by more than twice what the width does; the rounding between the passes then
/// falls elsewhere. Earlier versions always began with the rows.
fn vertical_first(source: &Picture, width: usize, height: usize) -> bool {
    let (shorter, narrower) = (source.height as i128 - height as i128, source.width as i128 - width as i128);
    shorter > 0 && shorter > narrower * 2
}

/// Columns, then rows.
fn vertical_then_horizontal(source: &Picture, width: usize, height: usize, filter: Filter, window: Window) -> Picture {
    let row = source.width * 3;
    let taps = Taps::new(filter, source.height, height, window.y, window.height);
    let mut short = vec![0; row * window.height];
    for (i, out) in short.chunks_exact_mut(row).enumerate() {
        line(&source.rgb[taps.starts[i] * row..], row, taps.weights(i), out);
    }
    let taps = Taps::new(filter, source.width, width, window.x, window.width);
    let mut rgb = vec![0; window.width * window.height * 3];
    horizontal(&short, row, &taps, &mut rgb, window.width * 3);
    Picture { width: window.width, height: window.height, rgb }
}

/// The pass over whole rows of `row_len` samples.
///
/// A tile of [`ROWS`] rows is turned on its side, four bytes a pixel, so that one step of the weighted sum covers all of its
/// rows: three samples of one pixel alone would leave the vector unit idle.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn horizontal(rows: &[u8], row_len: usize, taps: &Taps, out: &mut [u8], out_len: usize) {
    let (first, last) = taps.range();
    let mut tile = vec![[0u8; LANES]; last - first];
    for (rows, out) in rows.chunks(row_len * ROWS).zip(out.chunks_mut(out_len * ROWS)) {
        for (r, row) in rows.chunks_exact(row_len).enumerate() {
            for (column, p) in tile.iter_mut().zip(row[first * 3..last * 3].chunks_exact(3)) {
                column[r * 4..r * 4 + 3].copy_from_slice(p);
            }
        }
        for (i, start) in taps.starts.iter().enumerate() {
            let mut sum = [HALF; LANES];
            for (w, column) in taps.weights(i).iter().zip(&tile[start - first..]) {
                add(&mut sum, *w, column);
            }
            let pixels = sum.map(clip);
            for (out, p) in out.chunks_exact_mut(out_len).zip(pixels.chunks_exact(4)) {
                out[i * 3..i * 3 + 3].copy_from_slice(&p[..3]);
            }
        }
    }
}

#[inline(always)]
fn add(sum: &mut [i32; LANES], weight: i32, samples: &[u8; LANES]) {
    for (s, p) in sum.iter_mut().zip(samples) {
        *s += weight * i32::from(*p);
    }
}

/// One output row as the weighted sum of input rows of `len` samples.
#[multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn line(rows: &[u8], len: usize, weights: &[i32], out: &mut [u8]) {
    let whole = len / LANES * LANES;
    for (block, out) in out[..whole].chunks_exact_mut(LANES).enumerate() {
        let mut sum = [HALF; LANES];
        for (w, row) in weights.iter().zip(rows.chunks_exact(len)) {
            add(&mut sum, *w, row[block * LANES..][..LANES].try_into().expect("a block of LANES samples"));
        }
        for (o, s) in out.iter_mut().zip(sum) {
            *o = clip(s);
        }
    }
    for x in whole..len {
        let sum = weights.iter().zip(rows.chunks_exact(len)).fold(HALF, |s, (w, row)| s + w * i32::from(row[x]));
        out[x] = clip(sum);
    }
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
