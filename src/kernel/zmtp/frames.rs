//! The greeting, and messages as frames.

use super::Parts;
use std::io::{self, Read, Write};

/// The largest message, all its parts together.
const LONGEST: u64 = 64 << 20;
/// The most parts of a message.
const MOST_PARTS: usize = 256;
/// The longest command: they are a few words.
const LONGEST_COMMAND: u64 = 4096;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

fn wrong(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Greets the other side as a socket of the type `kind`, and tells the type of the other.
pub(super) fn greet(stream: &mut (impl Read + Write), kind: &str) -> io::Result<String> {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    stream.write_all(&greeting)?;
    let mut theirs = [0; 64];
    stream.read_exact(&mut theirs)?;
    if theirs[0] != 0xff || theirs[9] & 1 != 1 || theirs[10] < 3 {
        return Err(wrong("it does not speak ZMTP 3"));
    }
    if &theirs[12..32] != b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" {
        return Err(wrong("it wants another mechanism than NULL"));
    }
    let mut ready = b"\x05READY".to_vec();
    property(&mut ready, "Socket-Type", kind.as_bytes());
    stream.write_all(&command(&ready))?;
    let (flags, body) = frame(stream, LONGEST_COMMAND)?;
    let properties = body.strip_prefix(b"\x05READY").filter(|_| flags & COMMAND != 0).ok_or_else(|| wrong("it does not say READY"))?;
    let found = socket_type(properties).ok_or_else(|| wrong("its READY names no socket type"))?;
    Ok(String::from_utf8_lossy(found).into_owned())
}

fn property(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend(name.as_bytes());
    out.extend(u32::try_from(value.len()).unwrap_or(0).to_be_bytes());
    out.extend(value);
}

/// The value of `Socket-Type` among the properties of a READY.
fn socket_type(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((length, tail)) = rest.split_first() {
        let (name, tail) = tail.split_at_checked(usize::from(*length))?;
        let (size, tail) = tail.split_first_chunk::<4>()?;
        let (value, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return Some(value);
        }
        rest = tail;
    }
    None
}

fn command(body: &[u8]) -> Vec<u8> {
    let mut out = vec![COMMAND, u8::try_from(body.len()).unwrap_or(u8::MAX)];
    out.extend(body);
    out
}

/// A frame of at most `most` bytes with its flags. Memory grows with what has come, not with what was announced.
fn frame(stream: &mut impl Read, most: u64) -> io::Result<(u8, Vec<u8>)> {
    let mut flags = [0];
    stream.read_exact(&mut flags)?;
    if flags[0] & !(MORE | LONG | COMMAND) != 0 {
        return Err(wrong("a frame has flags that ZMTP 3 does not know"));
    }
    let size = if flags[0] & LONG == 0 {
        let mut size = [0];
        stream.read_exact(&mut size)?;
        u64::from(size[0])
    } else {
        let mut size = [0; 8];
        stream.read_exact(&mut size)?;
        u64::from_be_bytes(size)
    };
    if size > most {
        return Err(wrong(format!("a frame of {size} bytes is larger than the {most} that are taken")));
    }
    let mut body = Vec::new();
    if (stream.take(size).read_to_end(&mut body)? as u64) < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((flags[0], body))
}

/// The next message. Commands after the greeting say nothing that matters here.
pub(super) fn message(stream: &mut impl Read) -> io::Result<Parts> {
    let (mut parts, mut left) = (Parts::new(), LONGEST);
    loop {
        let (flags, body) = frame(stream, left)?;
        if flags & COMMAND != 0 {
            continue;
        }
        left -= body.len() as u64;
        parts.push(body);
        if flags & MORE == 0 {
            return Ok(parts);
        }
        if parts.len() == MOST_PARTS {
            return Err(wrong(format!("a message has more than {MOST_PARTS} parts")));
        }
    }
}

/// A message as it goes over the wire.
pub(super) fn encoded(parts: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|p| p.as_ref().len() + 9).sum());
    for (i, part) in parts.iter().enumerate() {
        let part = part.as_ref();
        let more = if i + 1 < parts.len() { MORE } else { 0 };
        match u8::try_from(part.len()) {
            Ok(size) => out.extend([more, size]),
            Err(_) => {
                out.push(more | LONG);
                out.extend((part.len() as u64).to_be_bytes());
            }
        }
        out.extend(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_is_written_is_read() {
        let parts = vec![vec![], b"a".to_vec(), vec![7; 255], vec![8; 256], vec![9; 70_000]];
        assert_eq!(message(&mut Cursor::new(encoded(&parts))).unwrap(), parts);
        // A command between the parts is passed over.
        let mut bytes = command(b"\x04PING\0\0");
        bytes.extend(encoded(&parts));
        assert_eq!(message(&mut Cursor::new(bytes)).unwrap(), parts);
    }

    #[test]
    fn what_is_too_large_or_cut_off_is_refused() {
        let said = |bytes: &[u8]| message(&mut Cursor::new(bytes)).unwrap_err().to_string();
        let mut large = vec![LONG];
        large.extend(u64::MAX.to_be_bytes());
        assert!(said(&large).contains("larger than the 67108864"), "{}", said(&large));
        assert!(said(&[0x80, 0]).contains("flags"));
        let whole = encoded(&[vec![1; 300], vec![2; 3]]);
        for end in 0..whole.len() {
            assert!(message(&mut Cursor::new(&whole[..end])).is_err(), "cut at {end}");
        }
        let endless = [MORE, 0].repeat(MOST_PARTS + 1);
        assert!(said(&endless).contains("parts"));
    }

    #[test]
    fn the_type_of_a_socket_is_found_among_its_properties() {
        let mut properties = Vec::new();
        property(&mut properties, "Identity", b"x");
        property(&mut properties, "socket-type", b"DEALER");
        assert_eq!(socket_type(&properties), Some(&b"DEALER"[..]));
        for end in 0..properties.len() {
            assert_eq!(socket_type(&properties[..end]), None, "cut at {end}");
        }
    }
}
