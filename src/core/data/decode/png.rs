//! PNG as it is in the file: indices, 1-, 2-, 4- and 16-bit samples.

use super::{Picture, Reason, Task, drop_alpha, from_grey, from_grey16, from_palette, zeroed};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Picture, Reason> {
    let plain = |e: png::DecodingError| match e {
        png::DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "the file is truncated".to_owned(),
        e => e.to_string(),
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: 1 << 30 });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(plain)?;
    task.admit(header.width.into(), header.height.into())?;
    let mut reader = decoder.read_info().map_err(plain)?;
    let mut data = zeroed(reader.output_buffer_size().ok_or("a size beyond this machine")?)?;
    let info = reader.next_frame(&mut data).map_err(plain)?;
    let (w, h) = (info.width as usize, info.height as usize);
    data.truncate(info.buffer_size());
    let palette = reader.info().palette.as_deref();
    let key = reader.info().trns.as_deref().unwrap_or_default();
    task.transparent(is_transparent(&data, w, info.line_size, (info.color_type, info.bit_depth), key));
    match (info.color_type, info.bit_depth) {
        (ColorType::Grayscale, BitDepth::Sixteen) => from_grey16(w, h, data.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])), task),
        (ColorType::Grayscale, depth) => from_grey(w, h, &unpack(&data, w, info.line_size, depth, true)),
        (ColorType::Indexed, depth) => {
            let palette = palette.ok_or("a palette picture without a palette")?;
            from_palette(w, h, &unpack(&data, w, info.line_size, depth, false), palette)
        }
        (ColorType::GrayscaleAlpha, depth) => {
            let step = if depth == BitDepth::Sixteen { 4 } else { 2 };
            let grey: Vec<u8> = data.chunks_exact(step).map(|p| p[0]).collect();
            from_grey(w, h, &grey)
        }
        (ColorType::Rgb, BitDepth::Sixteen) => high_bytes(w, h, &data, 6),
        (ColorType::Rgba, BitDepth::Sixteen) => high_bytes(w, h, &data, 8),
        (ColorType::Rgb, _) => Ok(Picture { width: w, height: h, rgb: data }),
        (ColorType::Rgba, _) => drop_alpha(w, h, &data, task),
    }
}

/// Whether a pixel is not opaque; `key` is the tRNS chunk: a palette's alphas, or the colour that is transparent.
fn is_transparent(data: &[u8], width: usize, line: usize, (color, depth): (ColorType, BitDepth), key: &[u8]) -> bool {
    let wide = depth == BitDepth::Sixteen;
    let any_below = |step: usize, alpha: usize| data.chunks_exact(step).any(|p| p[alpha..].iter().any(|b| *b < 255));
    match (color, key) {
        (ColorType::GrayscaleAlpha, _) => {
            if wide {
                any_below(4, 2)
            } else {
                any_below(2, 1)
            }
        }
        // Of 8 bits: looked at where it is dropped.
        (ColorType::Rgba, _) => wide && any_below(8, 6),
        (_, []) => false,
        (ColorType::Indexed, alphas) => unpack(data, width, line, depth, false).iter().any(|i| alphas.get(usize::from(*i)).is_some_and(|a| *a < 255)),
        (ColorType::Grayscale, [_, low]) if !wide => unpack(data, width, line, depth, false).contains(low),
        (ColorType::Grayscale, key) => data.chunks_exact(2).any(|p| p == key),
        (ColorType::Rgb, [_, r, _, g, _, b]) if !wide => data.chunks_exact(3).any(|p| p == [*r, *g, *b]),
        (ColorType::Rgb, key) => data.chunks_exact(6).any(|p| p == key),
    }
}

/// One byte for each sample; `scale` spreads it over 0..=255.
fn unpack(data: &[u8], width: usize, line: usize, depth: BitDepth, scale: bool) -> Vec<u8> {
    let (bits, factor) = match depth {
        BitDepth::One => (1, 255),
        BitDepth::Two => (2, 0x55),
        BitDepth::Four => (4, 0x11),
        _ => return data.to_vec(),
    };
    let (per_byte, mask, factor) = (8 / bits, (1u8 << bits) - 1, if scale { factor } else { 1 });
    data.chunks_exact(line.max(1))
        .flat_map(|row| (0..width).map(move |x| ((row[x / per_byte] >> (8 - bits - bits * (x % per_byte))) & mask) * factor))
        .collect()
}

/// The high byte of the first three big-endian 16-bit samples of every `step` bytes.
fn high_bytes(width: usize, height: usize, data: &[u8], step: usize) -> Result<Picture, Reason> {
    let rgb = data.chunks_exact(step).flat_map(|p| [p[0], p[2], p[4]]).collect();
    Ok(Picture { width, height, rgb })
}
