//! TIFF, the first picture: grey (1, 8, 16 bit), RGB, RGBA and CMYK (8, 16 bit), interleaved, turned as its orientation says.

use super::{Picture, Reason, Task, drop_alpha, from_cmyk, from_grey, from_grey16, zeroed};
use std::io::Cursor;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{CompressionMethod, SampleFormat, Tag};

const ASSOCIATED_ALPHA: u16 = 1;
const PLANAR: u16 = 2;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Picture, Reason> {
    let plain = |e: tiff::TiffError| match e {
        tiff::TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "the file is truncated".to_owned(),
        e => e.to_string(),
    };
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(plain)?;
    let (width, height) = decoder.dimensions().map_err(plain)?;
    task.admit(width.into(), height.into())?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = 2 << 30;
    limits.intermediate_buffer_size = 1 << 30;
    let mut decoder = decoder.with_limits(limits);
    let color = decoder.colortype().map_err(plain)?;
    let mut tag = |t: Tag| decoder.find_tag_unsigned_vec::<u16>(t).map(|v| v.and_then(|v| v.first().copied())).map_err(plain);
    let samples = tag(Tag::SamplesPerPixel)?.unwrap_or(1);
    if samples > 1 && tag(Tag::PlanarConfiguration)? == Some(PLANAR) {
        return Err("a TIFF with its colours in separate planes, which is not read here".into());
    }
    // The decoder behind it does not round as libjpeg does.
    let jpeg = [CompressionMethod::JPEG, CompressionMethod::ModernJPEG].map(|c| c.to_u16());
    if tag(Tag::Compression)?.is_some_and(|c| jpeg.contains(&c)) {
        return Err("a TIFF compressed with JPEG, which is not read here".into());
    }
    if tag(Tag::SampleFormat)?.is_some_and(|f| f != SampleFormat::Uint.to_u16()) {
        return Err("a TIFF of signed or floating-point samples, which is not read here".into());
    }
    let premultiplied = tag(Tag::ExtraSamples)? == Some(ASSOCIATED_ALPHA);
    let orientation = tag(Tag::Orientation)?.unwrap_or(1);
    let (w, h) = (width as usize, height as usize);
    let data = decoder.read_image().map_err(plain)?;
    let picture = pixels((w, h), color, data, premultiplied, task)?;
    if picture.rgb.len() != w * h * 3 {
        return Err("the file is truncated".into());
    }
    turned(picture, orientation)
}

fn pixels((w, h): (usize, usize), color: ColorType, data: DecodingResult, premultiplied: bool, task: &Task) -> Result<Picture, Reason> {
    task.transparent(match (color, &data) {
        (ColorType::GrayA(8), DecodingResult::U8(v)) => v.chunks_exact(2).any(|p| p[1] < u8::MAX),
        (ColorType::RGBA(8), DecodingResult::U8(v)) => v.chunks_exact(4).any(|p| p[3] < u8::MAX),
        (ColorType::RGBA(16), DecodingResult::U16(v)) => v.chunks_exact(4).any(|p| p[3] < u16::MAX),
        _ => false,
    });
    match (color, data) {
        (ColorType::Gray(1), DecodingResult::U8(v)) => {
            let rows = v.chunks_exact(w.div_ceil(8)).take(h);
            let grey: Vec<u8> = rows.flat_map(|row| (0..w).map(move |x| if row[x / 8] >> (7 - x % 8) & 1 == 1 { 255 } else { 0 })).collect();
            from_grey(w, h, &grey)
        }
        (ColorType::Gray(8), DecodingResult::U8(v)) => from_grey(w, h, &v),
        (ColorType::Gray(16), DecodingResult::U16(v)) => from_grey16(w, h, v.into_iter(), task),
        (ColorType::GrayA(8), DecodingResult::U8(v)) => {
            let grey: Vec<u8> = v.chunks_exact(2).map(|p| p[0]).collect();
            from_grey(w, h, &grey)
        }
        (ColorType::RGB(8), DecodingResult::U8(v)) => Ok(Picture { width: w, height: h, rgb: v }),
        (ColorType::RGB(16), DecodingResult::U16(v)) => Ok(Picture { width: w, height: h, rgb: v.into_iter().map(high).collect() }),
        (ColorType::RGBA(8), DecodingResult::U8(v)) if !premultiplied => drop_alpha(w, h, &v, task),
        (ColorType::RGBA(16), DecodingResult::U16(v)) if !premultiplied => {
            Ok(Picture { width: w, height: h, rgb: v.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).map(high).collect() })
        }
        (ColorType::RGBA(8), DecodingResult::U8(v)) => Ok(divided(w, h, v.into_iter())),
        (ColorType::RGBA(16), DecodingResult::U16(v)) => Ok(divided(w, h, v.into_iter().map(high))),
        (ColorType::CMYK(8), DecodingResult::U8(v)) => from_cmyk(w, h, &v),
        (ColorType::CMYK(16), DecodingResult::U16(v)) => from_cmyk(w, h, &v.into_iter().map(high).collect::<Vec<_>>()),
        (color, _) => Err(format!("a TIFF of the kind {color:?}, which is not read here")),
    }
}

fn high(v: u16) -> u8 {
    (v >> 8) as u8
}

/// Colours that were multiplied with their alpha, divided by it again, with Pillow's rounding.
fn divided(width: usize, height: usize, samples: impl Iterator<Item = u8>) -> Picture {
    let data: Vec<u8> = samples.collect();
    let one = |c: u8, alpha: u8| if alpha == 0 { 0 } else { u8::try_from(u32::from(c) * 255 / u32::from(alpha)).unwrap_or(255) };
    let rgb = data.chunks_exact(4).flat_map(|p| [one(p[0], p[3]), one(p[1], p[3]), one(p[2], p[3])]).collect();
    Picture { width, height, rgb }
}

/// The picture as its orientation tag says it is seen. Pillow does this for TIFF alone.
fn turned(p: Picture, orientation: u16) -> Result<Picture, Reason> {
    if !(2..=8).contains(&orientation) {
        return Ok(p);
    }
    let swaps = orientation >= 5;
    let (w, h) = if swaps { (p.height, p.width) } else { (p.width, p.height) };
    let mut rgb = zeroed(p.rgb.len())?;
    for y in 0..h {
        for x in 0..w {
            let (sx, sy) = match orientation {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, w - 1 - x),
                7 => (h - 1 - y, w - 1 - x),
                _ => (h - 1 - y, x),
            };
            let from = (sy * p.width + sx) * 3;
            rgb[(y * w + x) * 3..][..3].copy_from_slice(&p.rgb[from..from + 3]);
        }
    }
    Ok(Picture { width: w, height: h, rgb })
}
