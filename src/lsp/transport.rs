//! Messages on a stream: a header with a length, then JSON. What is no message is skipped, whatever it is; the stream goes on behind it.

use lsp_server::Message;
use std::io::{BufRead, Read, Write};

/// A longer message is refused: a text of this length is no script.
const LONGEST: usize = 64 << 20;
/// A header line is shorter.
const LONGEST_LINE: u64 = 4096;

/// What was read.
pub enum Incoming {
    /// A message.
    Message(Message),
    /// Something else: what was wrong with it.
    Garbage(String),
}

/// Reads the next message; `None` where the stream ends.
pub fn read(input: &mut impl BufRead) -> Option<Incoming> {
    let mut length = None;
    loop {
        let mut line = Vec::new();
        if input.take(LONGEST_LINE).read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            if length.is_some() {
                break;
            }
            continue;
        }
        match text.split_once(':') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("content-length") => match value.trim().parse::<usize>() {
                Ok(n) if n <= LONGEST => length = Some(n),
                _ => return Some(Incoming::Garbage(format!("`{text}` is no length of a message of at most {LONGEST} bytes"))),
            },
            Some((name, _)) if name.trim().eq_ignore_ascii_case("content-type") => {}
            _ => return Some(Incoming::Garbage("a line of a header was expected, such as `Content-Length: 42`".into())),
        }
    }
    let mut body = vec![0; length?];
    input.read_exact(&mut body).ok()?;
    Some(match serde_json::from_slice::<Message>(&body) {
        Ok(message) => Incoming::Message(message),
        Err(e) => Incoming::Garbage(format!("this is no message: {e}")),
    })
}

/// Writes a message.
///
/// # Errors
/// The client has gone.
pub fn write(output: &mut impl Write, body: &impl serde::Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string(body)?;
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}
