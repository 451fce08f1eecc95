//! GIF: the first frame, by its indices.

use super::{Picture, Reason, Task, from_palette, zeroed};
use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use std::num::NonZeroU64;

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Picture, Reason> {
    let plain = |e: gif::DecodingError| match e {
        gif::DecodingError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "the file is truncated".to_owned(),
        e if e.to_string().contains("End of File") => "the file is truncated".to_owned(),
        e => e.to_string(),
    };
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::new(super::MAX_PIXELS).expect("not zero")));
    let mut reader = options.read_info(bytes).map_err(plain)?;
    let global = reader.global_palette().map(<[u8]>::to_vec);
    let (mut width, mut height) = (usize::from(reader.width()), usize::from(reader.height()));
    let header = reader.next_frame_info().map_err(plain)?.ok_or("a GIF without a frame")?;
    let (left, top) = (usize::from(header.left), usize::from(header.top));
    let (fw, fh) = (usize::from(header.width), usize::from(header.height));
    // A first frame that goes beyond the screen enlarges it.
    (width, height) = (width.max(left + fw), height.max(top + fh));
    task.admit(width as u64, height as u64)?;
    let transparent = header.transparent;
    let (palette, background) = (header.palette.clone().or(global).unwrap_or_default(), header.transparent.unwrap_or(0));
    let mut pixels = zeroed(reader.buffer_size())?;
    reader.read_into_buffer(&mut pixels).map_err(plain)?;
    // What the frame leaves out is the transparent colour, or the palette's first.
    let mut indices = zeroed(width * height)?;
    indices.fill(background);
    for (y, row) in pixels.chunks_exact(fw.max(1)).enumerate() {
        let at = (top + y) * width + left;
        indices[at..at + fw].copy_from_slice(row);
    }
    task.transparent(transparent.is_some_and(|t| indices.contains(&t)));
    from_palette(width, height, &indices, &palette)
}
