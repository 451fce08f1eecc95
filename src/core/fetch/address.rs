//! Addresses of http and https, as far as redirects need them.

use std::fmt;

/// `scheme://host/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `http` or `https`.
    pub scheme: String,
    /// The host with its port.
    pub host: String,
    /// From the slash on.
    pub path: String,
}

impl Address {
    /// `None` for another scheme, or no host.
    pub(super) fn parse(url: &str) -> Option<Address> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let split = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(split);
        let is_known = matches!(scheme.as_str(), "http" | "https") && !host.is_empty() && !host.contains('@');
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        is_known.then(|| Address { scheme, host: host.to_ascii_lowercase(), path })
    }

    /// Where a redirect from here leads.
    pub(super) fn join(&self, to: &str) -> Option<Address> {
        if let Some(rest) = to.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme));
        }
        if to.starts_with('/') {
            return Self::parse(&format!("{}://{}{to}", self.scheme, self.host));
        }
        if to.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
            return Self::parse(to);
        }
        if to.is_empty() {
            return None;
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::parse(&format!("{}://{}{folder}/{to}", self.scheme, self.host))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_browsers_go() {
        let at = Address::parse("HTTPS://Hub.co/a/b/c?x=1").unwrap();
        for (to, want) in [
            ("https://cdn.co/f?y", Some("https://cdn.co/f?y")),
            ("http://cdn.co", Some("http://cdn.co/")),
            ("//cdn.co/f", Some("https://cdn.co/f")),
            ("/d/e", Some("https://hub.co/d/e")),
            ("d?z", Some("https://hub.co/a/b/d?z")),
            ("ftp://cdn.co/f", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(at.join(to).map(|a| a.to_string()).as_deref(), want, "{to}");
        }
        assert_eq!(Address::parse("https://user:secret@host/x"), None);
    }
}
