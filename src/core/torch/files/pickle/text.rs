//! What protocol 0 writes as text: escaped strings, and integers of any length.

/// `raw-unicode-escape`: Latin-1, in which only `\uXXXX` and `\UXXXXXXXX` are escapes.
pub fn unicode(line: &[u8]) -> String {
    let latin: String = line.iter().map(|b| char::from(*b)).collect();
    let mut out = String::new();
    let mut rest = &*latin;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let digits = match tail.as_bytes().first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = tail.get(1..=digits).filter(|_| digits > 0).and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
        match code {
            Some(c) => {
                out.push(c);
                rest = &tail[1 + digits..];
            }
            None => {
                out.push('\\');
                rest = tail;
            }
        }
    }
    out + rest
}

/// What Python's `repr` of a byte string stands for: quotes around it, escapes in it.
pub fn repr(line: &[u8]) -> Vec<u8> {
    let line = line.trim_ascii();
    let inner = [b"'", b"\""].iter().find_map(|q| line.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(line);
    let mut out = Vec::new();
    let mut bytes = inner.iter().copied();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => {
                let mut digit = || bytes.next().and_then(|d| (d as char).to_digit(16)).unwrap_or(0) as u8;
                digit() << 4 | digit()
            }
            Some(other) => other,
            None => b'\\',
        });
    }
    out
}

/// A decimal integer as the bytes of two's complement, little-endian; `None` when it is none.
pub fn long(digits: &str) -> Option<Vec<u8>> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut out: Vec<u8> = Vec::new();
    for d in digits.chars() {
        let mut carry = d.to_digit(10)?;
        for byte in &mut out {
            let x = u32::from(*byte) * 10 + carry;
            *byte = x as u8;
            carry = x >> 8;
        }
        if carry > 0 {
            out.push(carry as u8);
        }
    }
    // Room for the sign.
    if out.last().is_none_or(|b| b & 0x80 != 0) {
        out.push(0);
    }
    if negative {
        let mut carry = true;
        for byte in &mut out {
            let (x, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (x, over);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_protocol_0() {
        assert_eq!(unicode(b"a\\u00e9\\U0001f600\\n\xe9"), "aé😀\\né");
        assert_eq!(unicode(b"\\u12"), "\\u12");
        assert_eq!(repr(br"'a\'b\n\xff\\'"), b"a'b\n\xff\\");
        assert_eq!(long("119547037146038801333356").unwrap(), [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
        assert_eq!(long("-1").unwrap(), [0xff]);
        assert_eq!(long("-256").unwrap(), [0x00, 0xff]);
        assert_eq!(long("255").unwrap(), [0xff, 0x00]);
        assert!(long("12x").is_none() && long("-").is_none());
    }
}
