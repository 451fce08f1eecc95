//! Requests: redirects with a look at where they lead, proxies and certificates of the environment, and one clear message for each refusal.

use super::address::Address;
use super::failure::Failure;
use crate::error::Error;
use std::path::Path;
use std::time::Duration;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// How long a server may take to be reached, and to say something.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a server that was sent something.
const LONG_PATIENCE: Duration = Duration::from_secs(180);
/// As many redirects as browsers follow, or fewer.
const MOST_REDIRECTS: usize = 10;
/// A server that wants a longer pause is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where the certificates of a Linux lie.
const STORES: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

const ANOTHER_WAY: &str = "is a proxy or a portal in between? get the file by another way and name it";

/// What is asked for.
pub(super) struct Ask<'a> {
    /// What the user calls it.
    pub label: &'a str,
    pub url: &'a str,
    /// Shown to the first host alone.
    pub token: Option<&'a str>,
    /// Bytes that are there already, and the mark of the file that they are of.
    pub from: u64,
    pub mark: Option<&'a str>,
}

/// Asks servers.
pub(super) struct Http {
    agent: Agent,
    /// How long a server may take to say something.
    patience: Duration,
}

impl Http {
    pub(super) fn new() -> Self {
        Self::waiting(PATIENCE)
    }

    /// For requests after which a server has work to do, such as putting parts together.
    pub(super) fn patient() -> Self {
        Self::waiting(LONG_PATIENCE)
    }

    fn waiting(patience: Duration) -> Self {
        // A company's own certificate is among those of the system; a bare container has none at all.
        let has_own = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|v| std::env::var_os(v).is_some_and(|v| !v.is_empty()));
        let is_stored = has_own || STORES.iter().any(|s| Path::new(s).exists());
        let roots = if is_stored { RootCerts::PlatformVerifier } else { RootCerts::WebPki };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lathe/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Http { agent: config.new_agent(), patience }
    }

    /// What a server says of a file. Redirects to another host are not followed: there the content lies, here what is known of it.
    pub(super) fn head(&self, ask: &Ask) -> Result<HeaderMap, Failure> {
        let response = self.follow(ask, true)?;
        Ok(response.into_parts().0.headers)
    }

    /// The content from byte `ask.from` on, or from the start: the status tells.
    pub(super) fn get(&self, ask: &Ask) -> Result<Response<Body>, Failure> {
        self.follow(ask, false)
    }

    /// One request as it stands: no redirect is followed.
    pub(super) fn send(&self, request: ureq::http::Request<impl ureq::AsSendBody>) -> Result<Response<Body>, ureq::Error> {
        self.agent.run(request)
    }

    fn follow(&self, ask: &Ask, head: bool) -> Result<Response<Body>, Failure> {
        let first = Address::parse(ask.url).ok_or_else(|| Error::fetch(format!("`{}` is no address of http or https", ask.url)))?;
        let mut at = first.clone();
        for _ in 0..MOST_REDIRECTS {
            let is_home = at.host == first.host;
            let response = self.once(ask, &at, head, is_home)?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return judge(ask, &at, response, head);
            }
            let to = text(response.headers(), "location").unwrap_or_default();
            let next = led(&not_fetched(ask.label), &at, &to)?;
            if head && next.host != first.host {
                return Ok(response);
            }
            at = next;
        }
        let message = format!("`{}` is not fetched: {} redirects more than {MOST_REDIRECTS} times", ask.label, first.host);
        Err(Error::fetch(message).help(ANOTHER_WAY).into())
    }

    fn once(&self, ask: &Ask, at: &Address, head: bool, is_home: bool) -> Result<Response<Body>, Failure> {
        let url = at.to_string();
        let mut request = if head { self.agent.head(&url) } else { self.agent.get(&url) };
        if let Some(token) = ask.token.filter(|_| is_home) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if ask.from > 0 {
            request = request.header("Range", format!("bytes={}-", ask.from));
            if let Some(mark) = ask.mark {
                request = request.header("If-Range", mark);
            }
        }
        request.call().map_err(|e| self.trouble(&not_fetched(ask.label), at, &e))
    }

    /// What it means that no answer came; `not` begins the message: `x is not fetched`.
    pub(super) fn trouble(&self, not: &str, at: &Address, e: &ureq::Error) -> Failure {
        match distrusted(not, at, e) {
            Some(error) => Failure::Final(error),
            None => Failure::Passing(unreachable(not, at, e, self.patience), None),
        }
    }
}

/// How a message begins.
fn not_fetched(label: &str) -> String {
    format!("`{label}` is not fetched")
}

/// Where a redirect leads, if one may go there.
pub(super) fn led(not: &str, at: &Address, to: &str) -> Result<Address, Error> {
    let error = |what: String| Error::fetch(format!("{not}: {} {what}", at.host)).help(ANOTHER_WAY);
    let next = at.join(to).ok_or_else(|| error(format!("redirects to `{}`, which is no address of http or https", to.escape_debug())))?;
    if at.scheme == "https" && next.scheme == "http" {
        return Err(error(format!("redirects from https to http (`{next}`): what comes from there could be anybody's")));
    }
    Ok(next)
}

/// A header as text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

/// The server shows a certificate that nobody here knows. ureq hands on what rustls says of it as a text alone.
fn distrusted(not: &str, at: &Address, e: &ureq::Error) -> Option<Error> {
    let why = e.to_string();
    why.contains("certificate").then(|| {
        Error::fetch(format!("{not}: the certificate of {} is not trusted: {why}", at.host))
            .help("is the clock right? SSL_CERT_FILE names the certificates of a proxy that reads along")
    })
}

/// The server cannot be talked to.
fn unreachable(not: &str, at: &Address, e: &ureq::Error, patience: Duration) -> Error {
    let why = match e {
        ureq::Error::HostNotFound => "there is no such host, or no network".to_owned(),
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => format!("nothing came for {} s", PATIENCE.as_secs()),
        ureq::Error::Timeout(_) => format!("nothing came for {} s", patience.as_secs()),
        other => other.to_string(),
    };
    Error::fetch(format!("{not}: {} cannot be reached: {why}", at.host)).help(
        "is there a network here? HTTPS_PROXY names a proxy, HF_ENDPOINT a mirror of the hub; the same command goes on where it stopped, \
         and a file that lies here already can be named instead",
    )
}

/// What a status means.
fn judge(ask: &Ask, at: &Address, response: Response<Body>, head: bool) -> Result<Response<Body>, Failure> {
    let (status, headers) = (response.status().as_u16(), response.headers());
    let said = text(headers, "x-error-message").map_or(String::new(), |m| format!(": {m}"));
    let code = text(headers, "x-error-code").unwrap_or_default();
    let error = |what: String| Error::fetch(format!("`{}` is not fetched: {what}", ask.label));
    let host = &at.host;
    match status {
        200 | 206 if !head && is_page(headers) => Err(page(ask.label, host).into()),
        200 | 206 | 416 => Ok(response),
        401 if code == "RepoNotFound" && ask.token.is_none() => Err(Failure::Missing(
            error(format!("{host} knows no such repository, or it is a private one (401){said}"))
                .help("is the name right? HF_TOKEN=hf_.. or `hf auth login` says who you are"),
        )),
        401 | 403 => {
            let who = if ask.token.is_some() { "does not give it to the owner of this token" } else { "wants to know who asks" };
            let help = "accept the model's licence on its page, then HF_TOKEN=hf_.. or `hf auth login` says who you are";
            Err(error(format!("{host} {who} ({status}){said}")).help(help).into())
        }
        404 => Err(Failure::Missing(error(format!("{host} has no such file (404){said}")).help("are repository, revision and file right?"))),
        429 => {
            let seconds = text(headers, "retry-after").and_then(|t| t.parse::<u64>().ok());
            let pause = seconds.map_or(String::new(), |s| format!(" for {s} s"));
            let e = error(format!("{host} was asked too often and wants a pause{pause} (429){said}"))
                .help("try again later; with HF_TOKEN=hf_.. the hub allows more");
            let pause = seconds.map(Duration::from_secs);
            if pause.is_some_and(|p| p > LONGEST_PAUSE) { Err(e.into()) } else { Err(Failure::Passing(e, pause)) }
        }
        408 | 500..=599 => {
            let e =
                error(format!("{host} has trouble of its own ({status}){said}")).help("try again later: the same command goes on where it stopped");
            Err(Failure::Passing(e, None))
        }
        _ => Err(error(format!("{host} refuses it ({status}){said}")).help(ANOTHER_WAY).into()),
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    text(headers, "content-type").is_some_and(|t| t.to_lowercase().starts_with("text/html"))
}

/// A page for people in place of a file.
pub(super) fn page(label: &str, host: &str) -> Error {
    Error::fetch(format!("`{label}` is not fetched: {host} sends a page (HTML) in place of the file"))
        .help("is a login page of the network in between, or a page in place of the file itself (`blob` for `resolve`)?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_from_https_to_http() {
        let at = |url| Address::parse(url).unwrap();
        let e = led("x", &at("https://a.co/f"), "http://a.co/f").unwrap_err();
        assert!(e.code() == "E0303" && e.to_string().contains("from https to http") && e.help_text().is_some(), "{e}");
        assert_eq!(led("x", &at("http://a.co/f"), "https://b.co/g").unwrap(), at("https://b.co/g"));
        assert_eq!(led("x", &at("https://a.co/f"), "//b.co/g").unwrap(), at("https://b.co/g"));
        assert!(led("x", &at("http://a.co/f"), "ftp://a.co/f").is_err());
    }

    #[test]
    fn statuses_are_told_apart() {
        let ask = Ask { label: "x", url: "http://a.co/f", token: None, from: 0, mark: None };
        let at = Address::parse(ask.url).unwrap();
        let judged = |status: u16, pause: &str| {
            let response = Response::builder().status(status).header("Retry-After", pause).body(Body::builder().data("")).unwrap();
            judge(&ask, &at, response, false)
        };
        assert!(judged(206, "0").is_ok());
        assert!(matches!(judged(404, "0"), Err(Failure::Missing(_))));
        assert!(matches!(judged(503, "0"), Err(Failure::Passing(_, None))));
        assert!(matches!(judged(429, "3"), Err(Failure::Passing(_, Some(p))) if p == Duration::from_secs(3)));
        for (status, pause) in [(429, "3600"), (403, "0"), (400, "0")] {
            assert!(matches!(judged(status, pause), Err(Failure::Final(_))), "{status}");
        }
    }
}
