//! What a run may be called: its name is a folder's, and is shown in tables, prompts and messages.

use crate::error::{Error, Result};
use crate::plain::{is_plain, shown};
use std::path::{Component, Path};

/// Bytes of a folder's name; file systems take 255, and files of the run get names made from it.
const LONGEST: usize = 200;

/// Fails for what is no name of a folder, or of folders one in the other.
///
/// # Errors
/// `E0101` with the reason.
pub fn check(name: &str) -> Result<()> {
    let why = if name.trim().is_empty() {
        "it is empty".to_owned()
    } else if let Some(c) = name.chars().find(|c| !is_plain(*c)) {
        format!("it holds the character `{}`, which cannot be seen", c.escape_default())
    } else if Path::new(name).components().any(|c| !matches!(c, Component::Normal(_))) {
        "it leads out of the folder of runs".to_owned()
    } else if name.split('/').any(|part| part.trim() != part || part.is_empty() || part == ".") {
        "a folder's name in it is empty, or begins or ends with a space".to_owned()
    } else if name.split('/').any(|part| part.starts_with('-')) {
        "a folder's name in it begins with `-`".to_owned()
    } else if let Some(part) = name.split('/').find(|part| part.len() > LONGEST) {
        format!("it has {} bytes, and {LONGEST} are the most", part.len())
    } else {
        return Ok(());
    };
    let name: String = shown(name).chars().take(80).collect();
    Err(Error::usage(format!("`{name}` is no name for a run: {why}")).help("give a folder name, `--exp-name try1`; --output-dir says where it goes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_folders_or_hide_something_are_refused() {
        for name in ["try1", "group/try 1", "größe-2", "a.b_c"] {
            check(name).unwrap();
        }
        let long = "x".repeat(300);
        for (name, why) in [
            ("", "it is empty"),
            (" \t", "it is empty"),
            ("a\nb", "`\\n`"),
            ("a\tb", "`\\t`"),
            ("a\u{202e}b", "`\\u{202e}`"),
            ("a\u{1b}[2J", "`\\u{1b}`"),
            ("a\0b", "`\\u{0}`"),
            ("../a", "leads out"),
            ("a/../../b", "leads out"),
            ("/tmp/a", "leads out"),
            ("a//b", "is empty"),
            ("a/", "is empty"),
            ("a/./b", "is empty"),
            ("a /b", "with a space"),
            ("-rf", "begins with `-`"),
            (&long, "300 bytes"),
        ] {
            let e = check(name).unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(why), "{name:?}: {e}");
            assert!(e.to_string().chars().all(is_plain), "{e:?}");
        }
    }
}
