//! JPEG through libjpeg's own code (mozjpeg, a fork of libjpeg-turbo whose decoder gives the same bytes).

use super::{Picture, Reason, Task, from_cmyk, from_grey, zeroed};
use mozjpeg::{ColorSpace, Decompress};
use std::cell::Cell;
use std::io::{self, BufRead, Read};

/// More scans than any encoder writes: a progressive file can ask for a pass over all coefficients with every few bytes.
const MAX_SCANS: usize = 128;
/// The same bound for large pictures: scans times pixels.
const MAX_SCANNED: u64 = 1 << 32;

/// The bytes of the file, and whether the decoder wanted more than there are: libjpeg itself only fills up with grey.
struct Source<'a> {
    rest: &'a [u8],
    ended: &'a Cell<bool>,
}

impl Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.rest.read(buf)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            self.ended.set(true);
        }
        Ok(self.rest)
    }
    fn consume(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
    }
}

pub(super) fn decode(bytes: &[u8], task: &Task) -> Result<Picture, Reason> {
    let ended = Cell::new(false);
    // libjpeg reports a fatal error by unwinding with its message.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pixels(bytes, &ended, task)));
    let picture = done.unwrap_or_else(|panic| Err(message(panic.as_ref())));
    if ended.get() { Err("the file is truncated".into()) } else { picture }
}

fn message(panic: &(dyn std::any::Any + Send)) -> Reason {
    let text = panic.downcast_ref::<String>().map_or("the decoder failed on it", String::as_str);
    text.trim_start_matches("libjpeg fatal error: ").trim().to_owned()
}

fn pixels(bytes: &[u8], ended: &Cell<bool>, task: &Task) -> Result<Picture, Reason> {
    let plain = |e: io::Error| e.to_string();
    let header = Decompress::new_reader(Source { rest: bytes, ended }).map_err(plain)?;
    let (width, height) = (header.width(), header.height());
    task.admit(width as u64, height as u64)?;
    let scans = scans(bytes);
    if scans > MAX_SCANS || scans as u64 * (width * height) as u64 > MAX_SCANNED {
        return Err(format!("{scans} scans of {width} x {height} pixels are more than any encoder writes"));
    }
    let (mut started, channels) = match (header.components().len(), header.color_space()) {
        (1, _) => (header.grayscale(), 1),
        (3, _) => (header.rgb(), 3),
        (4, _) => (header.to_colorspace(ColorSpace::JCS_CMYK), 4),
        (n, _) => return Err(format!("a JPEG with {n} components")),
    };
    let started = started.as_mut().map_err(|e| e.to_string())?;
    let mut data = zeroed(width * height * channels)?;
    started.read_scanlines_into::<u8>(&mut data).map_err(plain)?;
    Ok(match channels {
        1 => from_grey(width, height, &data)?,
        3 => Picture { width, height, rgb: data },
        _ => {
            data.iter_mut().for_each(|v| *v = 255 - *v);
            from_cmyk(width, height, &data)?
        }
    })
}

/// How many scans the file has, from its markers alone.
fn scans(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (2, 0);
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xff)) {
        at += offset;
        match bytes.get(at + 1) {
            None | Some(0xd9) => break,
            // Fill bytes, stuffed zeros and restart markers have no length.
            Some(0xff) => at += 1,
            Some(0 | 1 | 0xd0..=0xd8) => at += 2,
            Some(marker) => {
                count += usize::from(*marker == 0xda);
                let length = bytes.get(at + 2..at + 4).map_or(2, |l| usize::from(l[0]) << 8 | usize::from(l[1]));
                at += 2 + length.max(2);
            }
        }
    }
    count
}
