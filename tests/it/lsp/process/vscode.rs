//! The extension for VS Code: its grammar beside the lexer, and its package. Its tools come from npm, into `target/editors`.

use crate::support::process::ok;
use crate::support::{root, sha256};
use lathe::script::text::lexer::lex;
use lathe::script::text::token::{Kind, Token};
use std::fs::{copy, create_dir_all, read, read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A copy of the extension with its tools, installed once for each lock file.
fn extension() -> Result<PathBuf, String> {
    let (from, to) = (root().join("docs/editors/vscode"), root().join("target/editors/vscode"));
    for file in walkdir::WalkDir::new(&from).into_iter().map(|e| e.unwrap().into_path()).filter(|p| p.is_file()) {
        let copied = to.join(file.strip_prefix(&from).unwrap());
        create_dir_all(copied.parent().unwrap()).unwrap();
        copy(&file, copied).unwrap();
    }
    let (stamp, lock) = (to.join("installed"), sha256(&read(from.join("package-lock.json")).unwrap()));
    if read_to_string(&stamp).ok().as_ref() != Some(&lock) {
        let args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"];
        let out = Command::new("npm").args(args).current_dir(&to).output().map_err(|e| format!("npm: {e}"))?;
        if !out.status.success() {
            return Err(format!("`npm ci` failed: {}", String::from_utf8_lossy(&out.stderr)));
        }
        write(stamp, lock).unwrap();
    }
    Ok(to)
}

/// What the grammar must take a token for, and which of its bytes.
fn wanted(token: Token, text: &str) -> Option<(char, std::ops::Range<usize>)> {
    let range = token.range();
    Some(match token.kind {
        Kind::LineComment | Kind::BlockComment | Kind::DocComment | Kind::TextComment => ('c', range),
        Kind::Text | Kind::RawText | Kind::Char | Kind::Template => ('s', range),
        // The `$` in front of a brace is the grammar's sign of code.
        Kind::TemplateHead | Kind::TemplateMiddle => ('s', range.start..range.end - 1),
        Kind::TemplateTail => ('s', range),
        Kind::Number => ('n', range.start + usize::from(text[range.clone()].starts_with('-'))..range.end),
        Kind::Keyword => ('k', range),
        Kind::Word | Kind::Operator | Kind::Comma | Kind::Semicolon => ('.', range),
        _ => return None,
    })
}

/// The first token of a text for which the grammar takes something else.
fn differing(text: &str, kinds: &str) -> Option<String> {
    for token in lex(text) {
        let Some((kind, range)) = wanted(token, text) else { continue };
        let is_same = kinds[range.clone()].chars().all(|c| c == kind || matches!(c, '\n' | 'f'));
        if !is_same {
            let line = text[..range.start].matches('\n').count() + 1;
            return Some(format!("{line}: {:?} is {:?}, not {kind}", &text[range.clone()], &kinds[range]));
        }
    }
    None
}

fn grammar(folder: &Path) {
    ok(Command::new("npm").args(["test", "--silent"]).current_dir(folder));
    let scripts: Vec<_> = crate::text::files::scripts().into_iter().filter(|(p, _)| !p.starts_with(root().join("tests"))).collect();
    let list: String = scripts.iter().map(|(p, _)| format!("{}\n", p.display())).collect();
    write(folder.join("list"), list).unwrap();
    let mut command = Command::new("node");
    command.arg(root().join("tests/it/lsp/process/grammar.js")).arg(folder.join("syntaxes/lathe.tmLanguage.json"));
    command.env("NODE_PATH", folder.join("node_modules")).stdin(Stdio::from(std::fs::File::open(folder.join("list")).unwrap()));
    let said = ok(&mut command);
    let kinds: Vec<String> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(kinds.len() == scripts.len() && kinds.len() > 60, "{} files", kinds.len());
    let wrong: Vec<String> =
        scripts.iter().zip(&kinds).filter_map(|((p, text), kinds)| Some(format!("{}:{}", p.display(), differing(text, kinds)?))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), kinds.len(), wrong.join("\n"));
}

#[test]
fn the_grammar_sees_what_the_lexer_sees_and_the_package_is_whole() {
    let folder = match extension() {
        Ok(folder) => folder,
        Err(why) => return println!("skipped: the_grammar_sees_what_the_lexer_sees_and_the_package_is_whole: {why}"),
    };
    grammar(&folder);
    ok(Command::new("npm").args(["run", "package", "--silent"]).current_dir(&folder));
    let mut package = zip::ZipArchive::new(std::fs::File::open(folder.join("lathe.vsix")).unwrap()).unwrap();
    let names: Vec<String> = (0..package.len()).map(|i| package.by_index(i).unwrap().name().unwrap().into_owned()).collect();
    for file in ["extension.js", "language-configuration.json", "syntaxes/lathe.tmLanguage.json", "node_modules/vscode-languageclient/node.js"] {
        assert!(names.contains(&format!("extension/{file}")), "{file} in {names:?}");
    }
}

#[test]
fn the_grammar_knows_every_namespace() {
    let text = read_to_string(root().join("docs/editors/vscode/syntaxes/lathe.tmLanguage.json")).unwrap();
    let reference = lathe::script::Engine::new(lathe::script::EngineOptions::default()).reference().unwrap();
    let spaces = reference.pages().iter().filter(|p| p.kind == lathe::script::docs::PageKind::Namespace);
    let mut names: Vec<&str> = spaces.map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    assert!(text.contains(&format!("(?:{})(?=\\\\s*::)", names.join("|"))), "support.class is to have {}", names.join("|"));
}
