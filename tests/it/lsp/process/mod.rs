//! `lathe lsp` and `lathe fmt` as processes: what the server finds is what `lathe check` finds, and foreign clients.

mod damage;
mod eglot;
mod layout;
mod live;
mod neovim;
mod saved;
mod specified;
mod vscode;

use super::client::Client;
use crate::support::process::lathe;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Stdio};

/// `lathe lsp` and its client.
struct Served {
    client: Client,
    server: Child,
}

impl Served {
    /// A server that nobody has said anything to.
    fn raw() -> Served {
        let mut command = lathe(&std::env::temp_dir(), &["lsp"]);
        let mut server = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let client = Client::over(server.stdin.take().unwrap(), server.stdout.take().unwrap());
        Served { client, server }
    }

    fn new(encodings: &[&str]) -> Served {
        let Served { client, server } = Served::raw();
        Served { client: client.greeted(encodings), server }
    }
}

impl Deref for Served {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Served {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
