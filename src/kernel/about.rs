//! What the kernel says of itself.

use super::message::PROTOCOL;
use serde_json::{Value, json};

/// The answer to `kernel_info_request`.
pub(super) fn information() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "status": "ok", "protocol_version": PROTOCOL, "implementation": "lathe", "implementation_version": version,
        "language_info": { "name": "lathe", "version": version, "mimetype": "text/x-rhai", "file_extension": ".rhai", "pygments_lexer": "rust",
            "codemirror_mode": "javascript" },
        "banner": format!("Lathe {version}. Cells are what is typed at `lathe repl`; `:help` lists the commands."),
        "debugger": false, "help_links": [],
    })
}
