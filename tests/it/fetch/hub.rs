//! A hub on 127.0.0.1: `HEAD` and `GET` of `/OWNER/REPO/resolve/REV/FILE` with the hub's headers, large files by a redirect to another host (the same
//! server as `localhost`), ranges, and the ways in which servers fail. What is pushed goes to `uploads`.

use super::uploads::Uploads;
use crate::support::sha256;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The commit at which every repository is.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How an address behaves.
#[derive(Clone)]
pub enum Mood {
    /// This status with these headers and this text.
    Says(u16, Vec<(&'static str, String)>, &'static str),
    /// The content breaks off after so many bytes, so many times.
    Breaks(usize, usize),
    /// The content comes in pieces of so many bytes with a pause of 20 ms between them.
    Slow(usize),
    /// Redirects there.
    Leads(String),
    /// Says another SHA-256 than the content has.
    Lies,
    /// Ranges are ignored.
    Whole,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The host as the client called it.
    pub host: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
    /// What kind of body came, and the body.
    pub kind: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    moods: HashMap<String, Mood>,
    log: Vec<Request>,
    /// Files of at least so many bytes lie elsewhere.
    large: usize,
    uploads: Uploads,
}

/// The server. Its thread ends with the test's process.
pub struct Hub {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub fn new() -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { large: 1000, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // A client that goes away is part of the tests.
                std::thread::spawn(move || drop(answer(stream, port, &state)));
            }
        });
        Hub { port, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Puts a file there: `owner/repo/file`, or any path.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state().files.insert(path.into(), bytes.into());
    }

    pub fn mood(&self, path: &str, mood: Mood) {
        self.state().moods.insert(path.into(), mood);
    }

    pub fn calm(&self) {
        self.state().moods.clear();
    }

    /// What was pushed, and what decides over that.
    pub fn uploads<T>(&self, look: impl FnOnce(&mut Uploads) -> T) -> T {
        look(&mut self.state().uploads)
    }

    /// What was asked for since the last time.
    pub fn log(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().log)
    }
}

fn answer(stream: TcpStream, port: u16, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let Some(mut request) = read(&mut reader)? else { return Ok(()) };
    if request.method == "CONNECT" {
        state.lock().unwrap().log.push(request);
        out.write_all(b"HTTP/1.1 200 here you are\r\n\r\n")?;
        let Some(next) = read(&mut reader)? else { return Ok(()) };
        request = next;
    }
    state.lock().unwrap().log.push(request.clone());
    let at = request.path.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    let mood = state.lock().unwrap().moods.get(&at).cloned();
    match mood {
        // The beginning of a body is read, and then nobody is there.
        Some(Mood::Breaks(_, times)) if times > 0 && !request.body.is_empty() => {
            state.lock().unwrap().moods.insert(at, Mood::Breaks(0, times - 1));
            return Ok(());
        }
        Some(Mood::Says(..)) => {}
        _ => {
            let answer = state.lock().unwrap().uploads.answer(&format!("http://127.0.0.1:{port}"), &request);
            if let Some((status, headers, body)) = answer {
                let headers: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
                write!(out, "HTTP/1.1 {status} so\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len())?;
                return out.write_all(&body);
            }
        }
    }
    let parts: Vec<&str> = request.path.trim_start_matches('/').splitn(5, '/').collect();
    let (key, is_hub) = match parts[..] {
        [owner, repo, "resolve", _, file] => (format!("{owner}/{repo}/{file}"), true),
        _ => (request.path.trim_start_matches('/').trim_start_matches("cdn/").to_owned(), false),
    };
    let (file, mood, large) = {
        let s = state.lock().unwrap();
        (s.files.get(&key).cloned().or_else(|| s.uploads.file(&key)), s.moods.get(&key).cloned(), s.large)
    };
    let is_head = request.method == "HEAD";
    match &mood {
        Some(Mood::Says(status, headers, text)) => {
            let headers: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
            let body = if is_head { "" } else { text };
            return write!(out, "HTTP/1.1 {status} so\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", text.len());
        }
        Some(Mood::Leads(to)) => return write!(out, "HTTP/1.1 302 so\r\nConnection: close\r\nContent-Length: 0\r\nLocation: {to}\r\n\r\n"),
        _ => {}
    }
    let Some(bytes) = file else {
        return write!(out, "HTTP/1.1 404 so\r\nConnection: close\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\r\n");
    };
    let sha = if matches!(mood, Some(Mood::Lies)) { "0".repeat(64) } else { sha256(&bytes) };
    let mut headers = String::new();
    if is_hub {
        headers += &format!("X-Repo-Commit: {COMMIT}\r\n");
        if bytes.len() >= large {
            headers += &format!("X-Linked-Etag: \"{sha}\"\r\nX-Linked-Size: {}\r\nETag: \"0f0f\"\r\n", bytes.len());
            headers += &format!("Location: http://localhost:{port}/cdn/{key}\r\n");
            return write!(out, "HTTP/1.1 302 so\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n");
        }
        headers += &format!("ETag: \"{}\"\r\n", &sha[..40]);
    } else {
        headers += &format!("ETag: \"{sha}\"\r\n");
    }
    let from = request.range.as_ref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()).unwrap_or(0);
    let from = if matches!(mood, Some(Mood::Whole)) { 0 } else { from.min(bytes.len()) };
    let status = if from > 0 { 206 } else { 200 };
    if from > 0 {
        headers += &format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    }
    write!(out, "HTTP/1.1 {status} so\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", bytes.len() - from)?;
    let body = &bytes[from..];
    match mood {
        _ if is_head => {}
        Some(Mood::Breaks(after, times)) if times > 0 => {
            state.lock().unwrap().moods.insert(key, Mood::Breaks(after, times - 1));
            out.write_all(&body[..after.min(body.len())])?;
        }
        Some(Mood::Slow(piece)) => {
            for part in body.chunks(piece) {
                out.write_all(part)?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        _ => out.write_all(body)?,
    }
    Ok(())
}

/// A request; `None` where nothing came.
fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    // A proxy is asked for whole addresses.
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("/", |i| &rest[i..]));
    let mut request =
        Request { method: method.into(), host: String::new(), path: path.into(), range: None, token: None, kind: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            request.body = vec![0; length];
            reader.read_exact(&mut request.body)?;
            return Ok(Some(request));
        };
        let value = value.trim().to_owned();
        match name.to_lowercase().as_str() {
            "host" => request.host = value,
            "range" => request.range = Some(value),
            "authorization" => request.token = Some(value),
            "content-type" => request.kind = Some(value),
            // A storage that knows no `Transfer-Encoding` is what the hub's is.
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
}
