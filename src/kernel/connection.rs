//! The connection file: where Jupyter wants the kernel's sockets, and the key by which messages are signed.

use super::zmtp::Address;
use crate::error::{Error, Result};
use crate::files;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What the file says.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    transport: String,
    ip: String,
    shell_port: u16,
    iopub_port: u16,
    stdin_port: u16,
    control_port: u16,
    hb_port: u16,
    #[serde(default)]
    key: String,
    #[serde(default)]
    signature_scheme: String,
}

/// Where the sockets are, and the key.
pub struct Connection {
    /// Requests.
    pub shell: Address,
    /// Requests that do not wait for a cell.
    pub control: Address,
    /// What cells say, for all.
    pub iopub: Address,
    /// Questions to the user: never any.
    pub stdin: Address,
    /// Whether the kernel lives.
    pub heartbeat: Address,
    /// Signs messages.
    pub key: String,
}

impl Connection {
    /// Reads a connection file. Addresses of other machines are refused unless `remote`: whoever reaches the sockets and has the key runs code.
    ///
    /// # Errors
    /// `E0301` and `E0302` for a file that cannot be read or lacks something; `E0302` without a key, with another signature than HMAC-SHA256,
    /// or with an address of another machine.
    pub fn read(path: &Path, remote: bool) -> Result<Connection> {
        let hint = "Jupyter writes this file when it starts a kernel: `lathe kernel install`, then choose Lathe there";
        let written: Written = files::read_json(path).map_err(|e| e.help(hint))?;
        if written.signature_scheme != "hmac-sha256" && !written.signature_scheme.is_empty() {
            let message = format!("signs messages by `{}`; this kernel knows `hmac-sha256` alone", written.signature_scheme);
            return Err(Error::data(path, message));
        }
        if written.key.is_empty() {
            let e = Error::data(path, "has no key: whoever reaches the sockets could run code");
            return Err(e.help("start Jupyter without `Session.key = b''`"));
        }
        let place = |port: u16| match written.transport.as_str() {
            "tcp" | "" => tcp(path, &written.ip, port, remote),
            "ipc" => Ok(Address::Ipc(PathBuf::from(format!("{}-{port}", written.ip)))),
            other => Err(Error::data(path, format!("`transport` is `{other}`; this kernel knows `tcp` and `ipc`"))),
        };
        Ok(Connection {
            shell: place(written.shell_port)?,
            control: place(written.control_port)?,
            iopub: place(written.iopub_port)?,
            stdin: place(written.stdin_port)?,
            heartbeat: place(written.hb_port)?,
            key: written.key,
        })
    }
}

fn tcp(path: &Path, ip: &str, port: u16, remote: bool) -> Result<Address> {
    let found = if ip == "localhost" { Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { ip.trim_matches(['[', ']']).parse::<IpAddr>() };
    let found = found.map_err(|_| Error::data(path, format!("`ip` is `{ip}`, which is no address")))?;
    if !found.is_loopback() && !remote {
        let e = Error::data(path, format!("`ip` is `{ip}`: other machines could connect, and messages are signed but not encrypted"));
        return Err(e.help("let Jupyter start kernels on 127.0.0.1; `lathe kernel --allow-remote` in the kernel's `argv` allows this address"));
    }
    if port == 0 {
        return Err(Error::data(path, "a port is 0; clients must know where the kernel is"));
    }
    Ok(Address::Tcp(SocketAddr::new(found, port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(changes: Value, remote: bool) -> Result<Connection> {
        let mut all = json!({ "transport": "tcp", "ip": "127.0.0.1", "shell_port": 5001, "iopub_port": 5002, "stdin_port": 5003, "control_port": 5004,
            "hb_port": 5005, "key": "k", "signature_scheme": "hmac-sha256", "kernel_name": "lathe" });
        for (key, value) in changes.as_object().unwrap() {
            all[key] = value.clone();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel.json");
        std::fs::write(&path, all.to_string()).unwrap();
        Connection::read(&path, remote)
    }

    #[test]
    fn only_this_machine_is_listened_to() {
        assert_eq!(read(json!({}), false).unwrap().shell.to_string(), "tcp://127.0.0.1:5001");
        assert_eq!(read(json!({ "ip": "::1" }), false).unwrap().heartbeat.to_string(), "tcp://[::1]:5005");
        assert_eq!(read(json!({ "ip": "/tmp/k", "transport": "ipc" }), false).unwrap().control.to_string(), "ipc:///tmp/k-5004");
        for ip in ["0.0.0.0", "192.168.1.7", "::"] {
            let said = read(json!({ "ip": ip }), false).err().unwrap().render(false);
            assert!(said.contains("other machines") && said.contains("--allow-remote"), "{said}");
            assert!(read(json!({ "ip": ip }), true).is_ok());
        }
    }

    #[test]
    fn what_would_not_be_safe_is_refused() {
        let said = |changes: Value| read(changes, false).err().unwrap().to_string();
        assert!(said(json!({ "key": "" })).contains("no key"));
        assert!(said(json!({ "signature_scheme": "hmac-md5" })).contains("hmac-md5"));
        assert!(said(json!({ "transport": "udp" })).contains("udp"));
        assert!(said(json!({ "ip": "example.org" })).contains("no address"));
        assert!(said(json!({ "shell_port": 70_000 })).contains("70000"));
        assert!(said(json!({ "shell_port": 0 })).contains("port is 0"));
    }
}
