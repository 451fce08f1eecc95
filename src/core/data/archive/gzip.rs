//! Reading anywhere in a gzipped file: it is unpacked once from front to back, and on the way copies of the decoder's state are kept, from which
//! it can go on (the idea of zlib's `zran.c`; RFC 1951 and 1952). Reads that follow each other go on where the last one ended.

use super::cursors::Cursors;
use super::pread::Shared;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_HAS_MORE_INPUT};
use std::io::{Error, ErrorKind, Read, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far back deflate refers.
const WINDOW: usize = 1 << 15;
/// Unpacked bytes between two entry points at first; twice as many whenever there would be more of them than there may be.
const SPAN: u64 = 1 << 20;
/// Entry points of all archives of a source together: each takes about 44 kB of memory.
const POINTS: usize = 4096;
/// No archive needs more.
const MOST: usize = 2048;

/// Decoders that stand somewhere, of all archives; each has a number.
static IDLE: Cursors<Decoder> = Cursors::new();
static NUMBERS: AtomicUsize = AtomicUsize::new(0);

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the gzip stream is damaged: {what}"))
}

fn cut() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the gzip stream ends too early: the file is cut off")
}

/// A decoder that stands somewhere in the stream.
#[derive(Clone)]
struct Decoder {
    state: Box<DecompressorOxide>,
    /// The last bytes that came out, as a ring.
    window: Box<[u8]>,
    /// How many bytes came out, and how many of them were handed on.
    out: u64,
    given: u64,
    /// The next byte of the file.
    next: u64,
    /// Whether a member is under way.
    is_inside: bool,
}

impl Decoder {
    fn start() -> Decoder {
        Decoder { state: Box::default(), window: vec![0; WINDOW].into(), out: 0, given: 0, next: 0, is_inside: false }
    }

    /// Unpacks more, at most to the end of the ring; false at the end of the stream. All that was unpacked before must have been handed on.
    fn step(&mut self, input: &mut Input) -> Result<bool> {
        if !self.is_inside {
            match input.header(self.next)? {
                Some(next) => self.next = next,
                None => return Ok(false),
            }
            *self.state = DecompressorOxide::default();
            self.is_inside = true;
        }
        let (bytes, is_last) = input.at(self.next)?;
        let flags = if is_last { 0 } else { TINFL_FLAG_HAS_MORE_INPUT };
        let at = (self.out % WINDOW as u64) as usize;
        let (status, read, written) = decompress(&mut self.state, bytes, &mut self.window, at, flags);
        self.next += read as u64;
        self.out += written as u64;
        match status {
            TINFLStatus::Done => {
                // The sum and the length stand behind a member; another one may follow.
                self.next += 8;
                self.is_inside = false;
            }
            TINFLStatus::NeedsMoreInput if !is_last => {}
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => return Err(cut()),
            _ => return Err(damaged("its content is not deflated data")),
        }
        Ok(true)
    }

    /// What was unpacked and not handed on: in one piece, as a step never goes beyond the end of the ring.
    fn fresh(&self) -> &[u8] {
        let from = (self.given % WINDOW as u64) as usize;
        &self.window[from..from + (self.out - self.given) as usize]
    }
}

/// The packed bytes around a place.
struct Input {
    file: Shared,
    start: u64,
    bytes: Vec<u8>,
}

impl Input {
    const CHUNK: u64 = 1 << 16;

    fn new(file: &Shared) -> Input {
        Input { file: file.clone(), start: 0, bytes: Vec::new() }
    }

    /// Bytes from `at` on, and whether the file ends behind them.
    fn at(&mut self, at: u64) -> Result<(&[u8], bool)> {
        let end = self.start + self.bytes.len() as u64;
        if !(self.start..end).contains(&at) {
            let len = Self::CHUNK.min(self.file.len().saturating_sub(at));
            (self.start, self.bytes) = (at, self.file.bytes(at, len)?);
        }
        let is_last = self.start + self.bytes.len() as u64 == self.file.len();
        Ok((&self.bytes[(at - self.start) as usize..], is_last))
    }

    /// Where the data of the member begins whose header is at `at`; `None` at the end of the file, or where only zeros are left.
    fn header(&mut self, at: u64) -> Result<Option<u64>> {
        let len = self.file.len();
        if at >= len {
            return if at > len { Err(cut()) } else { Ok(None) };
        }
        let mut reader = std::io::BufReader::new(self.file.from(at));
        let mut used = 0;
        let mut take = |n: usize| -> Result<Vec<u8>> {
            let mut bytes = vec![0; n];
            reader.read_exact(&mut bytes).map_err(|_| cut())?;
            used += n as u64;
            Ok(bytes)
        };
        let fixed = take(10.min((len - at) as usize))?;
        if at > 0 && fixed.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let [0x1f, 0x8b, method, flags, ..] = fixed[..] else { return Err(damaged("something else stands behind it")) };
        if method != 8 || flags & 0xe0 != 0 || fixed.len() < 10 {
            return Err(damaged("its header"));
        }
        if flags & 4 != 0 {
            let n = take(2)?;
            take(usize::from(u16::from_le_bytes([n[0], n[1]])))?;
        }
        for text in [8, 16] {
            while flags & text != 0 && take(1)? != [0] {}
        }
        if flags & 2 != 0 {
            take(2)?;
        }
        Ok(Some(at + used))
    }
}

/// A gzipped file that was unpacked once; any part of it can be read.
pub(super) struct Gzip {
    file: Shared,
    points: Vec<Decoder>,
    number: usize,
}

impl Drop for Gzip {
    fn drop(&mut self) {
        IDLE.forget(self.number);
    }
}

impl Gzip {
    /// Reads the unpacked stream of one of so many archives, which a later [`Gzip`] will know.
    pub(super) fn first_pass(file: Shared, among: usize) -> FirstPass {
        let input = Input::new(&file);
        let most = (POINTS / among.max(1)).min(MOST);
        FirstPass { file, input, decoder: Decoder::start(), points: Vec::new(), most, span: SPAN, crc: flate2::Crc::new() }
    }

    /// The unpacked bytes `start .. start + len`.
    pub(super) fn bytes(&self, start: u64, len: u64) -> Result<Vec<u8>> {
        let point = self.points.partition_point(|p| p.out <= start).checked_sub(1).map(|i| &self.points[i]);
        let least = point.map_or(0, |p| p.out);
        let idle = IDLE.take(self.number, 0, least, start).map(|(_, decoder)| decoder);
        let mut decoder = idle.unwrap_or_else(|| point.cloned().unwrap_or_else(Decoder::start));
        let mut input = Input::new(&self.file);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(usize::try_from(len).map_err(|_| Error::from(ErrorKind::OutOfMemory))?)
            .map_err(|_| Error::from(ErrorKind::OutOfMemory))?;
        loop {
            let skipped = decoder.out.min(start);
            decoder.given = decoder.given.max(skipped);
            let wanted = (len - bytes.len() as u64).min(decoder.out - decoder.given);
            if decoder.given >= start {
                bytes.extend_from_slice(&decoder.fresh()[..wanted as usize]);
                decoder.given += wanted;
            }
            if bytes.len() as u64 == len {
                IDLE.put(self.number, 0, decoder.given, decoder);
                return Ok(bytes);
            }
            if !decoder.step(&mut input)? {
                return Err(cut());
            }
        }
    }
}

/// The unpacked stream from front to back, and the entry points so far.
pub(super) struct FirstPass {
    file: Shared,
    input: Input,
    decoder: Decoder,
    points: Vec<Decoder>,
    /// Fewer than so many are kept.
    most: usize,
    span: u64,
    /// Of the member under way.
    crc: flate2::Crc,
}

impl FirstPass {
    /// The file, all of whose stream was read up to here.
    pub(super) fn finish(self) -> Gzip {
        Gzip { file: self.file, points: self.points, number: NUMBERS.fetch_add(1, Ordering::Relaxed) }
    }

    fn keep_point(&mut self) {
        let d = &self.decoder;
        if self.most < 2 || !d.is_inside || d.out < self.points.last().map_or(0, |p| p.out) + self.span {
            return;
        }
        self.points.push(d.clone());
        if self.points.len() == self.most {
            let mut number = 0..;
            self.points.retain(|_| number.next().is_some_and(|i| i % 2 == 1));
            self.span *= 2;
        }
    }
}

impl Read for FirstPass {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.decoder.fresh().is_empty() {
            self.keep_point();
            let was_inside = self.decoder.is_inside;
            if !self.decoder.step(&mut self.input)? {
                return Ok(0);
            }
            if !was_inside {
                self.crc = flate2::Crc::new();
            }
            self.crc.update(self.decoder.fresh());
            if !self.decoder.is_inside {
                let end = self.file.bytes(self.decoder.next - 8, 8).map_err(|_| cut())?;
                let sum = self.crc.sum().to_le_bytes();
                if end[..4] != sum || end[4..] != self.crc.amount().to_le_bytes() {
                    return Err(damaged("its checksum is another one"));
                }
            }
        }
        let fresh = self.decoder.fresh();
        let n = fresh.len().min(buffer.len());
        buffer[..n].copy_from_slice(&fresh[..n]);
        self.decoder.given += n as u64;
        Ok(n)
    }
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gzip with {} entry points", self.points.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn noise(n: usize) -> Vec<u8> {
        // Half of it repeats, so that both literals and references occur.
        let mut x = 7u32;
        let mut out: Vec<u8> = Vec::with_capacity(n);
        while out.len() < n {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if x >> 31 == 0 || out.len() < 40_000 {
                out.push((x >> 20) as u8);
            } else {
                let from = out.len() - 32_700;
                let copy = out[from..from + 20].to_vec();
                out.extend(copy);
            }
        }
        out.truncate(n);
        out
    }

    fn open(bytes: &[u8]) -> Shared {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Shared::new(file).unwrap()
    }

    fn packed(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::GzBuilder::new().filename("name.tar").comment("remark").write(Vec::new(), flate2::Compression::default());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    fn all(file: Shared) -> Result<(Vec<u8>, Gzip)> {
        among(file, 1)
    }

    fn among(file: Shared, archives: usize) -> Result<(Vec<u8>, Gzip)> {
        let (mut pass, mut out) = (Gzip::first_pass(file, archives), Vec::new());
        pass.read_to_end(&mut out)?;
        Ok((out, pass.finish()))
    }

    #[test]
    fn any_part_is_read_in_any_order() {
        let data = noise(9 << 20);
        // Two members, as `cat a.gz b.gz` makes them.
        let file = [packed(&data[..5_000_000]), packed(&data[5_000_000..])].concat();
        let (out, gzip) = all(open(&file)).unwrap();
        assert!(out == data);
        assert!(gzip.points.len() >= 7, "{gzip:?}");
        for (start, len) in [(0, 10), (8_000_000, 1_400_000), (4_999_990, 20), (70_000, 3), (70_003, 100_000), (1, 0), (data.len() - 1, 1)] {
            assert!(gzip.bytes(start as u64, len as u64).unwrap() == data[start..start + len], "{start} {len}");
        }
        let e = gzip.bytes(data.len() as u64 - 1, 2).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn archives_share_the_memory_for_entry_points() {
        let data = noise(9 << 20);
        let file = packed(&data);
        for (archives, most) in [(POINTS / 4, 4), (POINTS / 2, 2), (POINTS, 0), (100 * POINTS, 0)] {
            let (_, gzip) = among(open(&file), archives).unwrap();
            assert!(gzip.points.len() <= most, "{archives}: {gzip:?}");
            for start in [8_000_000, 10, 5_000_000] {
                assert!(gzip.bytes(start, 1000).unwrap() == data[start as usize..start as usize + 1000], "{archives} {start}");
            }
            let number = gzip.number;
            assert!(IDLE.of(number) > 0);
            drop(gzip);
            assert_eq!(IDLE.of(number), 0, "what is gone keeps no memory");
        }
    }

    #[test]
    fn damage_is_noticed_in_the_first_pass() {
        let file = packed(&noise(300_000));
        for cut in [5, 15, 1000, file.len() - 9, file.len() - 4] {
            assert!(all(open(&file[..cut])).is_err(), "cut at {cut} of {}", file.len());
        }
        let mut other = file.clone();
        let middle = other.len() / 2;
        other[middle] ^= 16;
        assert!(all(open(&other)).is_err());
        assert!(all(open(&[&file[..], b"and more"].concat())).unwrap_err().to_string().contains("something else"));
        assert_eq!(all(open(&[&file[..], &[0; 512]].concat())).unwrap().0.len(), 300_000);
    }
}
