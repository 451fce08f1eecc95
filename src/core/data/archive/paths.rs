//! Names of archives, patterns of them, and names in them.

use crate::error::{Error, Result};
use crate::files;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A pattern that stands for more files is a slip.
const MOST: usize = 1 << 20;
/// Digits of a number in braces, leading zeros included.
const MOST_DIGITS: usize = 20;

fn ends(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    !name.starts_with('.') && endings.iter().any(|e| name.ends_with(e))
}

/// Whether a file is called like a tar.
pub(in crate::data) fn is_archive(path: &Path) -> bool {
    ends(path, &[".tar", ".tar.gz", ".tgz"])
}

/// Whether a file is called like a table of Hugging Face's.
pub(in crate::data) fn is_table(path: &Path) -> bool {
    ends(path, &[".parquet"])
}

/// Where a folder's shards or tables lie, when its sub-folders hold them, as in a copy of a data set from Hugging Face: what to give instead.
pub(in crate::data) fn below(root: &Path) -> Option<String> {
    for (_, folder) in files::list(root).ok()?.into_iter().filter(|(n, p)| !n.starts_with('.') && p.is_dir()) {
        let all = files::list(&folder).ok()?;
        if all.iter().any(|(_, p)| is_archive(p) || is_table(p)) {
            return Some(format!("`{}` holds archives or parquet files: give that folder", folder.display()));
        }
    }
    None
}

/// The files that `shards/{000..127}.tar`, `shards/{a,b}.tar` or `train-*.parquet` stand for, in order: numbers as they are counted, `*` by name. The pattern
/// is in the last part of the path. `None` for a path that is there as it is, or without a pattern.
///
/// # Errors
/// `E0302` for a brace without its other half, a pattern that nothing fits, or files that are missing.
pub(in crate::data) fn expand(pattern: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(text) = pattern.file_name().and_then(OsStr::to_str).filter(|t| t.contains(['{', '*', '?'])) else { return Ok(None) };
    if pattern.exists() {
        return Ok(None);
    }
    let folder = pattern.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for name in braces(pattern, text)? {
        if !name.contains(['*', '?']) {
            found.push(pattern.with_file_name(name));
            continue;
        }
        let before = found.len();
        let all = files::list(folder)?;
        found.extend(
            all.into_iter().filter(|(n, _)| !n.starts_with('.') && fits(name.as_bytes(), n.as_bytes())).map(|(n, _)| pattern.with_file_name(n)),
        );
        if found.len() == before {
            let help = format!("`ls {}` shows what is there", folder.display());
            return Err(Error::data(pattern.with_file_name(name), "no file fits this pattern").help(help));
        }
    }
    if let Some(missing) = found.iter().find(|p| !p.is_file()) {
        let n = found.iter().filter(|p| !p.is_file()).count();
        return Err(Error::data(missing, format!("there is no such file: {n} of the {} that `{text}` stands for are missing", found.len()))
            .help("fetch the missing ones, or give the range that is there"));
    }
    Ok(Some(found))
}

/// All texts that a text with braces stands for.
fn braces(whole: &Path, text: &str) -> Result<Vec<String>> {
    let Some(open) = text.find('{') else { return Ok(vec![text.to_owned()]) };
    let bad = |what: &str| Error::data(whole, what.to_owned()).help("braces are `{000..127}` or `{train,val}`");
    let close = open + text[open..].find('}').ok_or_else(|| bad("a `{` without its `}`"))?;
    let inner = &text[open + 1..close];
    let parts: Vec<String> = match inner.split_once("..") {
        Some((a, b)) => {
            let number = |n: &str| n.parse::<u64>().ok().filter(|_| n.len() <= MOST_DIGITS);
            let (Some(first), Some(last)) = (number(a), number(b)) else {
                return Err(bad(&format!("`{{{inner}}}` is no range of numbers")));
            };
            if first > last || last - first >= MOST as u64 {
                return Err(bad(&format!("`{{{inner}}}` is no range of at most {MOST} numbers")));
            }
            // As in a shell: leading zeros give all the same width.
            let width = if [a, b].iter().any(|n| n.len() > 1 && n.starts_with('0')) { a.len().max(b.len()) } else { 0 };
            (first..=last).map(|n| format!("{n:0width$}")).collect()
        }
        None if inner.contains(',') => inner.split(',').map(str::to_owned).collect(),
        None => return Err(bad(&format!("`{{{inner}}}` is neither a range nor a list"))),
    };
    let rest = braces(whole, &text[close + 1..])?;
    if parts.len().saturating_mul(rest.len()) > MOST {
        return Err(bad(&format!("it stands for more than {MOST} files")));
    }
    Ok(parts.iter().flat_map(|p| rest.iter().map(move |r| format!("{}{p}{r}", &text[..open]))).collect())
}

/// Whether a name fits a pattern of `*` and `?`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken: only it need ever take more.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(c) if *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The path of a member below the archive's root: `./` and a leading `/` do not count, as when it is unpacked. `None` where it leads out.
pub(in crate::data) fn inside(name: &[u8]) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_count_as_a_shell_does() {
        let of = |t: &str| braces(Path::new(t), t).map_err(|e| e.to_string());
        assert_eq!(of("a/{08..11}.tar").unwrap(), ["a/08.tar", "a/09.tar", "a/10.tar", "a/11.tar"]);
        assert_eq!(of("{9..10}").unwrap(), ["9", "10"]);
        assert_eq!(of("{a,b}-{0..1}x").unwrap(), ["a-0x", "a-1x", "b-0x", "b-1x"]);
        for wrong in ["{0..", "{3..1}", "{0..99999999}", "{a}", "{x..y}", "{0..1048575}{0..9}"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn stars_and_missing_files() {
        let dir = tempfile::tempdir().unwrap();
        for n in ["t-1.tar", "t-2.tar", ".t-3.tar", "u-1.tar"] {
            std::fs::write(dir.path().join(n), "").unwrap();
        }
        let of = |t: &str| {
            expand(&dir.path().join(t)).map(|f| f.map(|f| f.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()))
        };
        assert_eq!(of("t-*.tar").unwrap().unwrap(), ["t-1.tar", "t-2.tar"]);
        assert_eq!(of("{u,t}-?.tar").unwrap().unwrap(), ["u-1.tar", "t-1.tar", "t-2.tar"]);
        assert_eq!(of("t-1.tar").unwrap(), None);
        assert!(of("v*").unwrap_err().to_string().contains("no file fits"));
        let e = of("t-{1..4}.tar").unwrap_err();
        assert!(e.to_string().contains("t-3.tar") && e.to_string().contains("2 of the 4"), "{e}");
    }

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside(b"./a//b.png").unwrap(), Path::new("a/b.png"));
        assert_eq!(inside(b"/a/b").unwrap(), Path::new("a/b"));
        assert_eq!(inside(b"a/../../b"), None);
        assert_eq!(inside(b"\xff/\xfe.png").unwrap().as_os_str().as_bytes(), b"\xff/\xfe.png");
    }

    #[test]
    fn patterns_fit_as_a_shells_do_and_at_once() {
        for (pattern, name, want) in [
            ("*", "", true),
            ("", "a", false),
            ("a*b", "ab", true),
            ("a*b", "axbxb", true),
            ("a*b", "axbx", false),
            ("a?c*", "abc", true),
            ("?", "", false),
            ("*.tar", "x.tar.tar", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("**x**", "x", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), want, "{pattern} {name}");
        }
        // By trying every way this would take longer than there is.
        assert!(!fits("*a".repeat(40).as_bytes(), format!("{}b", "a".repeat(200)).as_bytes()));
        let zeros = format!("{{{}..1}}.tar", "0".repeat(70_000));
        assert!(braces(Path::new("x"), &zeros).is_err());
    }
}
