//! What went wrong in a cell, as Jupyter shows it.

use crate::error::Error;
use serde_json::{Value, json};

/// An error in the words of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code, such as `E0503`.
    name: String,
    /// The message.
    value: String,
    /// As it is shown, with colours.
    shown: String,
}

impl Failure {
    /// An error that was rendered.
    pub(super) fn of(rendered: &str) -> Failure {
        let plain = without_colors(rendered);
        let first = plain.lines().next().unwrap_or_default();
        let (name, value) = match first.strip_prefix("error[").and_then(|rest| rest.split_once("]: ")) {
            Some((code, message)) => (code, message),
            None => ("error", first.strip_prefix("error: ").unwrap_or(first)),
        };
        Failure { name: name.to_owned(), value: value.to_owned(), shown: rendered.to_owned() }
    }

    /// The user stopped it.
    pub(super) fn stopped() -> Failure {
        Failure { name: "E0901".into(), value: "stopped".into(), shown: "stopped".into() }
    }

    /// The fields of an `error` message.
    pub(super) fn content(&self) -> Value {
        json!({ "ename": self.name, "evalue": self.value, "traceback": self.shown.lines().collect::<Vec<_>>() })
    }

    /// The fields of a reply.
    pub(super) fn reply(&self) -> Value {
        let mut reply = self.content();
        reply["status"] = "error".into();
        reply
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        if e.is_asked() { Failure::stopped() } else { Failure::of(&e.render(true)) }
    }
}

/// A text without what colours it on a terminal.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_code() {
        let f = Failure::from(Error::usage("no such thing").help("type another"));
        assert_eq!((f.name.as_str(), f.value.as_str()), ("E0101", "no such thing"));
        assert!(f.content()["traceback"].to_string().contains("type another") && f.reply()["status"] == "error");
        assert_eq!(Failure::from(Error::interrupted()), Failure::stopped());
        let f = Failure::of("the run gave no answer");
        assert_eq!((f.name.as_str(), f.value.as_str()), ("error", "the run gave no answer"));
    }
}
