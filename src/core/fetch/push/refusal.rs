//! What a hub means when it does not take something.

use super::wire::Wire;
use crate::error::Error;
use crate::fetch::failure::Failure;
use crate::fetch::http::text;
use serde_json::Value;
use std::io::Read;
use std::time::Duration;
use ureq::Body;
use ureq::http::Response;

/// A server that wants a longer pause is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// As much of an explanation as is read.
const MOST_SAID: u64 = 4 << 10;

/// An answer that is none, or none at all.
pub(super) struct Refusal {
    /// What came; `None` where nothing did.
    pub status: Option<u16>,
    /// The hub's own word for it.
    pub code: String,
    pub failure: Failure,
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Failure::from(e).into()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        // An error of our own is no lost answer.
        Refusal { status: Some(0), code: String::new(), failure }
    }
}

impl Refusal {
    /// Whether the branch is what is missing.
    pub(super) fn is_branch(&self) -> bool {
        self.status == Some(404) && self.code == "RevisionNotFound"
    }

    /// What an answer means; `has_token` says whether the hub could know who asks.
    pub(super) fn of(wire: &Wire, host: &str, has_token: bool, response: Response<Body>) -> Refusal {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let code = text(&headers, "x-error-code").unwrap_or_default();
        let mut body = Vec::new();
        // An explanation that does not come is none.
        let _ = response.into_body().into_reader().take(MOST_SAID).read_to_end(&mut body);
        let is_page = text(&headers, "content-type").is_some_and(|t| t.to_lowercase().starts_with("text/html"));
        let said = text(&headers, "x-error-message").or_else(|| explained(&body)).map_or(String::new(), |s| format!(": {}", crate::plain::shown(&s)));
        let error = |what: String| Error::fetch(format!("`{}` is not pushed: {what}", wire.label));
        let failure = match status {
            _ if is_page && status < 500 => Failure::Final(
                error(format!("{host} sends a page (HTML) in place of an answer ({status})"))
                    .help("does HF_ENDPOINT name a hub? is a login page of the network in between?"),
            ),
            401 => Failure::Final(if has_token {
                error(format!("{host} does not know this token (401){said}"))
                    .help("`hf auth login` or HF_TOKEN=hf_.. with a valid token that may write")
            } else {
                error(format!("{host} wants to know who pushes (401){said}"))
                    .help("HF_TOKEN=hf_.. or `hf auth login` says it; the token must be one that may write")
            }),
            403 => Failure::Final(
                error(format!("the owner of this token may not write there (403){said}"))
                    .help("is the owner in `hf://owner/repo` right, and may the token write? tokens are on the hub's page of settings"),
            ),
            404 if code == "RevisionNotFound" => {
                Failure::Missing(error(format!("the repository has no such branch (404){said}")).help("--create makes it"))
            }
            404 => Failure::Missing(
                error(format!("{host} has no such repository, or it is a private one of somebody else (404){said}"))
                    .help("is the name right? --create makes it, with --private for nobody else to read"),
            ),
            409 => Failure::Final(error(format!("{host} is busy with another change of it (409){said}")).help("try again in a moment")),
            413 => Failure::Final(
                error(format!("this is too large for {host} (413){said}"))
                    .help("`--to safetensors-sharded --shard-size 1GB` makes smaller files; a hub has a bound for a whole repository as well"),
            ),
            429 => {
                let pause = text(&headers, "retry-after").and_then(|t| t.parse::<u64>().ok());
                let shown = pause.map_or(String::new(), |s| format!(" for {s} s"));
                let e = error(format!("{host} was asked too often and wants a pause{shown} (429){said}"))
                    .help("try again later: what came over is not sent again");
                match pause.map(Duration::from_secs) {
                    Some(pause) if pause > LONGEST_PAUSE => Failure::Final(e),
                    pause => Failure::Passing(e, pause),
                }
            }
            408 | 500..=599 => Failure::Passing(
                error(format!("{host} has trouble of its own ({status}){said}")).help("try again later: what came over is not sent again"),
                None,
            ),
            _ => Failure::Final(error(format!("{host} refuses it ({status}){said}"))),
        };
        Refusal { status: Some(status), code, failure }
    }
}

/// What the text of an answer says of itself.
fn explained(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let text = |v: &Value| v.as_str().map(str::to_owned).filter(|s| !s.is_empty());
    value.get("error").and_then(text).or_else(|| value.get("message").and_then(text))
}
