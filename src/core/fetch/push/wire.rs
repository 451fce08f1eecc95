//! Requests that send something. Only what the hub calls an answer is one: JSON.

use super::refusal::Refusal;
use crate::error::Error;
use crate::fetch::address::Address;
use crate::fetch::failure::Failure;
use crate::fetch::http::{Http, led, text};
use crate::fetch::{place, transfer};
use serde_json::Value;
use std::io::Read;
use std::time::Duration;
use ureq::http::{Request, Response};
use ureq::{Body, SendBody};

/// How often a request is sent before it is given up.
const TRIES: u32 = 5;
/// The pause before the second time; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// A repository that has another name now leads there.
const MOST_REDIRECTS: usize = 3;
/// More than any answer.
const MOST_SAID: u64 = 16 << 20;

/// The hub, and who the user is to it.
pub(super) struct Wire {
    http: Http,
    pub endpoint: String,
    token: Option<String>,
    /// What is pushed to, for messages.
    pub label: String,
}

/// A request, as often as it has to be sent.
struct Ask<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a [(String, String)],
    length: u64,
    /// Makes the body anew.
    body: &'a dyn Fn() -> Result<Box<dyn Read + 'a>, Error>,
}

impl Wire {
    pub(super) fn new(repo: &str) -> Wire {
        Wire { http: Http::patient(), endpoint: place::endpoint(), token: place::token(), label: format!("hf://{repo}") }
    }

    /// How a message begins.
    fn not(&self) -> String {
        format!("`{}` is not pushed", self.label)
    }

    /// A server that does not do what a hub does.
    pub(super) fn strange(&self, what: &str) -> Error {
        Error::fetch(format!("`{}` is not pushed: {} does not answer as a hub does: it {what}", self.label, self.endpoint))
            .help("does HF_ENDPOINT name a hub, or a mirror of one that takes files?")
    }

    /// A question of JSON to the hub, with an answer of JSON.
    pub(super) fn json(&self, method: &str, at: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        self.json_at(method, &format!("{}{at}", self.endpoint), &[("Content-Type", "application/json")], body)
    }

    /// The same at an address that the hub has named.
    pub(super) fn json_at(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Value, Refusal> {
        let headers: Vec<(String, String)> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let bytes = body.map_or_else(Vec::new, |b| b.to_string().into_bytes());
        let body = || Ok(Box::new(&bytes[..]) as Box<dyn Read>);
        let response = self.again(&Ask { method, url, headers: &headers, length: bytes.len() as u64, body: &body })?;
        self.read(response)
    }

    /// The lines of a commit, once.
    pub(super) fn commit(&self, at: &str, lines: Vec<u8>) -> Result<Value, Refusal> {
        let url = format!("{}{at}", self.endpoint);
        let headers = [("Content-Type".to_owned(), "application/x-ndjson".to_owned())];
        let body = || Ok(Box::new(&lines[..]) as Box<dyn Read>);
        let response = self.follow(&Ask { method: "POST", url: &url, headers: &headers, length: lines.len() as u64, body: &body })?;
        self.read(response)
    }

    /// Bytes to an address that the hub has named; gives the mark that the storage has for them.
    pub(super) fn put<'a>(
        &self,
        url: &'a str,
        headers: &'a [(String, String)],
        length: u64,
        body: &'a dyn Fn() -> Result<Box<dyn Read + 'a>, Error>,
    ) -> Result<Option<String>, Refusal> {
        let response = self.again(&Ask { method: "PUT", url, headers, length, body })?;
        Ok(text(response.headers(), "etag"))
    }

    fn again(&self, ask: &Ask) -> Result<Response<Body>, Refusal> {
        let mut tries = 0;
        loop {
            let refusal = match self.follow(ask) {
                Ok(response) => return Ok(response),
                Err(refusal) => refusal,
            };
            let Failure::Passing(e, pause) = &refusal.failure else { return Err(refusal) };
            tries += 1;
            if tries >= TRIES {
                return Err(refusal);
            }
            tracing::debug!("{e}; trying again");
            transfer::wait(pause.unwrap_or(PAUSE * 2_u32.pow(tries))).map_err(Refusal::from)?;
        }
    }

    /// Sends it, with the token to the hub alone.
    fn follow(&self, ask: &Ask) -> Result<Response<Body>, Refusal> {
        let parse = |url: &str| Address::parse(url).ok_or_else(|| self.strange(&format!("names `{}`, which is no address", url.escape_debug())));
        let home = parse(&self.endpoint)?;
        let mut at = parse(ask.url)?;
        if home.scheme == "https" && at.scheme == "http" {
            return Err(self.strange("sends from https to http").into());
        }
        for _ in 0..MOST_REDIRECTS {
            let response = self.once(ask, &at, at.host == home.host)?;
            let status = response.status().as_u16();
            if (200..300).contains(&status) {
                return Ok(response);
            }
            if !matches!(status, 307 | 308) {
                return Err(Refusal::of(self, &at.host, self.token.is_some(), response));
            }
            at = led(&self.not(), &at, &text(response.headers(), "location").unwrap_or_default())?;
        }
        Err(self.strange("redirects without an end").into())
    }

    fn once(&self, ask: &Ask, at: &Address, is_home: bool) -> Result<Response<Body>, Refusal> {
        let mut request = Request::builder().method(ask.method).uri(at.to_string());
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(token) = self.token.as_ref().filter(|_| is_home) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let unfit = |e: ureq::http::Error| Refusal::from(self.strange(&format!("wants what cannot be sent ({e})")));
        let sent = if ask.length == 0 && ask.method == "GET" {
            self.http.send(request.body(SendBody::none()).map_err(unfit)?)
        } else {
            let mut body = (ask.body)()?;
            let request = request.header("Content-Length", ask.length);
            self.http.send(request.body(SendBody::from_reader(&mut body)).map_err(unfit)?)
        };
        sent.map_err(|e| {
            // What was asked of everybody came back as an error of the body.
            match crate::interrupt::check() {
                Err(stop) => Refusal::from(stop),
                Ok(()) => Refusal { status: None, code: String::new(), failure: self.http.trouble(&self.not(), at, &e) },
            }
        })
    }

    fn read(&self, response: Response<Body>) -> Result<Value, Refusal> {
        let mut said = Vec::new();
        let read = response.into_body().into_reader().take(MOST_SAID).read_to_end(&mut said);
        if let Err(e) = read {
            let error = Error::fetch(format!("`{}` is not pushed: the connection broke: {e}", self.label)).help("the same command goes on");
            return Err(Refusal { status: None, code: String::new(), failure: Failure::Passing(error, None) });
        }
        if said.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&said).map_err(|_| {
            let start: String = String::from_utf8_lossy(&said).trim().chars().take(40).collect();
            self.strange(&format!("says `{}..`, which is no JSON", start.escape_debug())).into()
        })
    }
}
