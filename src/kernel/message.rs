//! Messages of Jupyter's protocol 5.4 (<https://jupyter-client.readthedocs.io/en/stable/messaging.html>): signed JSON in the parts of a ZeroMQ message.

use super::zmtp::Parts;
use crate::files;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// The version of the protocol that is spoken.
pub const PROTOCOL: &str = "5.4";
/// What stands between those to whom a message goes and the message.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// A message from a client.
#[derive(Debug, Clone)]
pub struct Message {
    /// What stood in front of it: goes in front of the answer.
    pub ids: Parts,
    /// Its head, as it came: the parent of what answers it.
    pub header: Value,
    /// What is asked, such as `execute_request`.
    pub kind: String,
    /// With what.
    pub content: Map<String, Value>,
}

/// What makes and checks signatures, and numbers what is sent.
pub struct Signer {
    mac: Hmac<Sha256>,
    session: String,
    count: AtomicU64,
}

impl Signer {
    /// A signer with the key of the connection file; `None` for an empty one, by which nothing would be signed.
    pub fn new(key: &str) -> Option<Signer> {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(key.as_bytes()).ok().filter(|_| !key.is_empty())?;
        // The standard library's maps have keys that the system has drawn.
        let random = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        Some(Signer { mac, session: format!("{:016x}{:016x}", random(), random()), count: AtomicU64::new(0) })
    }

    fn mac(&self, signed: &[impl AsRef<[u8]>]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        signed.iter().for_each(|part| mac.update(part.as_ref()));
        mac
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Why it is none that may be believed.
    pub fn read(&self, mut parts: Parts) -> Result<Message, String> {
        let at = parts.iter().position(|p| p == DELIMITER).ok_or("it has no `<IDS|MSG>`")?;
        let body = parts.split_off(at + 1);
        parts.truncate(at);
        // Buffers may follow.
        let [signature, header, parent, metadata, content, ..] = &body[..] else { return Err("it has too few parts".into()) };
        let given = unhex(signature).ok_or("its signature is no hexadecimal number")?;
        // Compared in constant time.
        self.mac(&[header, parent, metadata, content]).verify_slice(&given).map_err(|_| "its signature is wrong")?;
        let object = |what: &str, text: &[u8]| match serde_json::from_slice(text) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(format!("its {what} is no object")),
            Err(e) => Err(format!("its {what}: {e}")),
        };
        let (header, content) = (object("header", header)?, object("content", content)?);
        let kind = header.get("msg_type").and_then(Value::as_str).ok_or("its header has no `msg_type`")?.to_owned();
        Ok(Message { ids: parts, header: header.into(), kind, content })
    }

    /// A message for the wire. `parent` is the header of what it answers; `{}` where it answers nothing.
    pub fn write(&self, ids: &[Vec<u8>], parent: &Value, kind: &str, content: &Value) -> Parts {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        let header = json!({
            "msg_id": format!("{}_{n}", self.session), "session": self.session, "username": "lathe",
            "date": files::iso_time(files::unix_time()), "msg_type": kind, "version": PROTOCOL,
        });
        let signed = [&header, parent, &json!({}), content].map(|v| v.to_string().into_bytes());
        let signature = files::hex(&self.mac(&signed).finalize().into_bytes()).into_bytes();
        ids.iter().cloned().chain([DELIMITER.to_vec(), signature]).chain(signed).collect()
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?));
    pairs.collect()
}

impl Message {
    /// A text of its content; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.content.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A yes or no of its content.
    pub fn is(&self, key: &str, default: bool) -> bool {
        self.content.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    /// A whole number of its content.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.content.get(key).and_then(Value::as_i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_read_and_what_was_changed_is_not() {
        let signer = Signer::new("a key").unwrap();
        let parts = signer.write(&[b"id".to_vec()], &json!({}), "execute_request", &json!({ "code": "1 + 1", "silent": true, "n": 3 }));
        let message = signer.read(parts.clone()).unwrap();
        assert_eq!((message.ids.as_slice(), message.kind.as_str(), message.text("code")), (&[b"id".to_vec()][..], "execute_request", "1 + 1"));
        assert_eq!((message.is("silent", false), message.is("absent", true), message.number("n")), (true, true, Some(3)));
        for i in 2..parts.len() {
            let mut changed = parts.clone();
            changed[i][1] ^= 1;
            assert!(signer.read(changed).is_err(), "part {i}");
        }
        assert!(Signer::new("another").unwrap().read(parts.clone()).unwrap_err().contains("signature is wrong"));
        for n in 0..parts.len() - 1 {
            assert!(signer.read(parts[..n].to_vec()).is_err(), "{n} parts");
        }
        assert!(Signer::new("").is_none());
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let signer = Signer::new("Jefe").unwrap();
        let mac = signer.mac(&["what do ya want ", "for nothing?"]).finalize().into_bytes();
        assert_eq!(files::hex(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn hexadecimal_digits_are_read() {
        assert_eq!(unhex(b"00ffA1"), Some(vec![0, 255, 161]));
        assert_eq!((unhex(b"0"), unhex(b"0g"), unhex(b"")), (None, None, Some(vec![])));
    }
}
