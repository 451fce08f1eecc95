//! Pictures to RGB, byte for byte as Pillow's `Image.open(path).convert("RGB")`.
//!
//! The rules: alpha is dropped, not composited; a palette's colours are used as they are, transparency included; 1-bit is
//! 0 and 255; 16-bit grey is clipped to 255, not scaled (unless [`PixelRule::Scale`] is asked for); 16-bit colour keeps its high byte; CMYK in a
//! JPEG is inverted (Adobe's convention); EXIF orientation is not applied; of an animation the first frame counts. What is lost by them is told
//! ([`Lost`]).

mod formats;
mod gif;
mod jpeg;
mod png;
mod task;
mod tiff;

use task::Task;
pub use task::{Lost, PixelRule};

use crate::error::{Error, Result};
use crate::files;
use std::io::Read;
use std::path::Path;
use std::sync::MutexGuard;

/// A decoded picture: `height * width * 3` bytes, rows from the top, RGB interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// The pixels.
    pub rgb: Vec<u8>,
}

/// Pictures with more pixels are refused before anything is allocated: Pillow's own limit for a decompression bomb.
pub const MAX_PIXELS: u64 = 178_956_970;

/// Files above this size are refused: no picture below [`MAX_PIXELS`] needs it.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Why a picture cannot be read, in a few words.
pub(crate) type Reason = String;

/// A decoded picture; a large one keeps other large ones waiting until it is dropped.
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    pub(crate) lost: Lost,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// Reads and decodes a picture file; the content decides about the format, not the name.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is not a picture, is damaged or has more than [`MAX_PIXELS`].
pub fn read_picture(path: impl AsRef<Path>) -> Result<Picture> {
    read_and_tell(path.as_ref()).map(|(picture, _)| picture)
}

/// The same, and what was lost.
pub(crate) fn read_and_tell(path: &Path) -> Result<(Picture, Lost)> {
    let bytes = read_file(path)?;
    decode(&bytes, PixelRule::Pillow).map(|d| (d.picture, d.lost)).map_err(|reason| Error::data(path, reason))
}

/// Decodes a picture that is in memory.
///
/// # Errors
/// `E0202` when it is not a picture, is damaged or has more than [`MAX_PIXELS`].
pub fn decode_picture(bytes: &[u8]) -> Result<Picture> {
    decode(bytes, PixelRule::Pillow).map(|d| d.picture).map_err(|reason| Error::value("decode_picture", reason))
}

/// The whole file, unless it is larger than any picture.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = files::open(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed: the file may grow while it is read, or be a device without an end.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::data(path, "more than 1 GiB, which no picture needs"));
    }
    Ok(bytes)
}

pub(crate) fn decode(bytes: &[u8], rule: PixelRule) -> Result<Decoded, Reason> {
    let task = Task::new(rule);
    let decoder = decoder_for(bytes)?;
    // The decoders are other people's: a panic in one must not take a job of a million pictures with it.
    let picture = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| decoder(bytes, &task)))
        .unwrap_or_else(|_| Err("the decoder failed on it".into()))?;
    debug_assert_eq!(picture.rgb.len(), picture.width * picture.height * 3);
    let (lost, turn) = task.end();
    Ok(Decoded { picture, lost, _turn: turn })
}

type Decoder = fn(&[u8], &Task) -> Result<Picture, Reason>;

fn decoder_for(bytes: &[u8]) -> Result<Decoder, Reason> {
    match bytes {
        [] => Err("an empty file".into()),
        [0xff, 0xd8, 0xff, ..] => Ok(jpeg::decode),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(png::decode),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(gif::decode),
        [b'B', b'M', ..] => Ok(formats::bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(tiff::decode),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(formats::webp),
        other if is_text(other) => Err("not a picture: its content is text".into()),
        _ => Err("not in a format that is read here (PNG, JPEG, WebP, GIF, TIFF, BMP)".into()),
    }
}

/// Whether the beginning reads as text: UTF-8, perhaps cut inside a character, without control characters.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    let text = match std::str::from_utf8(start) {
        Ok(t) => t,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&start[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

/// `len` zero bytes, or the reason why there is no memory for them.
fn zeroed(len: usize) -> Result<Vec<u8>, Reason> {
    let mut v = Vec::new();
    v.try_reserve_exact(len).map_err(|_| format!("not enough memory for {len} bytes"))?;
    v.resize(len, 0);
    Ok(v)
}

/// Grey to RGB.
fn from_grey(width: usize, height: usize, grey: &[u8]) -> Result<Picture, Reason> {
    let mut rgb = zeroed(grey.len() * 3)?;
    for (out, v) in rgb.chunks_exact_mut(3).zip(grey) {
        out.fill(*v);
    }
    Ok(Picture { width, height, rgb })
}

/// 16-bit grey to RGB, clipped or scaled.
fn from_grey16(width: usize, height: usize, samples: impl Iterator<Item = u16>, task: &Task) -> Result<Picture, Reason> {
    let grey: Vec<u8> = match task.rule {
        // 65535 / 255 is 257.
        PixelRule::Scale => samples.map(|v| u8::try_from((u32::from(v) + 128) / 257).unwrap_or(255)).collect(),
        PixelRule::Pillow => samples
            .map(|v| {
                u8::try_from(v).unwrap_or_else(|_| {
                    task.clipped();
                    255
                })
            })
            .collect(),
    };
    from_grey(width, height, &grey)
}

/// Palette indices to RGB. An index beyond the palette is its own shade of grey, as in Pillow.
fn from_palette(width: usize, height: usize, indices: &[u8], palette: &[u8]) -> Result<Picture, Reason> {
    let mut table = [[0u8; 3]; 256];
    for (i, t) in table.iter_mut().enumerate() {
        *t = [u8::try_from(i).unwrap_or(255); 3];
    }
    for (t, p) in table.iter_mut().zip(palette.chunks_exact(3)) {
        t.copy_from_slice(p);
    }
    let mut rgb = zeroed(indices.len() * 3)?;
    for (out, i) in rgb.chunks_exact_mut(3).zip(indices) {
        out.copy_from_slice(&table[usize::from(*i)]);
    }
    Ok(Picture { width, height, rgb })
}

/// RGBA without its alpha.
fn drop_alpha(width: usize, height: usize, rgba: &[u8], task: &Task) -> Result<Picture, Reason> {
    let mut rgb = zeroed(width * height * 3)?;
    task.transparent(rgba.chunks_exact(4).any(|p| p[3] < 255));
    for (out, p) in rgb.chunks_exact_mut(3).zip(rgba.chunks_exact(4)) {
        out.copy_from_slice(&p[..3]);
    }
    Ok(Picture { width, height, rgb })
}

/// CMYK (0 is no ink) to RGB with Pillow's rounding.
fn from_cmyk(width: usize, height: usize, cmyk: &[u8]) -> Result<Picture, Reason> {
    let mut rgb = zeroed(width * height * 3)?;
    for (out, p) in rgb.chunks_exact_mut(3).zip(cmyk.chunks_exact(4)) {
        let light = 255 - u32::from(p[3]);
        for (o, ink) in out.iter_mut().zip(p) {
            let t = u32::from(*ink) * light + 128;
            *o = u8::try_from(light.saturating_sub(((t >> 8) + t) >> 8)).unwrap_or(255);
        }
    }
    Ok(Picture { width, height, rgb })
}
