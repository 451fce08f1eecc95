//! Size and CRC-32C of a file: what a record remembers of it.

use crate::error::{Error, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

/// Size and CRC-32C of a file, by which a truncated or altered one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Its length.
    pub bytes: u64,
    /// CRC-32C (Castagnoli) of all bytes.
    pub crc32c: u32,
}

/// Size and checksum of a file as it lies on disk.
///
/// # Errors
/// `E0301` when it cannot be read.
pub fn sum(path: &Path) -> Result<Sum> {
    let io = |e| Error::io("read", path, e);
    let mut file = files::open_plain(path)?;
    let mut sum = Sum { bytes: 0, crc32c: 0 };
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(io)?;
        if n == 0 {
            return Ok(sum);
        }
        sum.crc32c = crc32c::crc32c_append(sum.crc32c, &buffer[..n]);
        sum.bytes += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_the_published_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        files::write(&path, b"123456789").unwrap();
        // The check value of CRC-32C in RFC 3720 and the catalogue of parametrised CRC algorithms.
        assert_eq!(sum(&path).unwrap(), Sum { bytes: 9, crc32c: 0xe306_9283 });
    }
}
