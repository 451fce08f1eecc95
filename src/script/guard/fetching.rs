//! Weights that are missing: scripts have no network, the program fetches for them what has a name or a reference, when the user said so.

use super::found::Found;
use super::permissions::who;
use crate::error::{Error, Result};
use crate::fetch::{self, Item, Pins};
use crate::models::published;
use crate::script::bind::Cx;
use crate::script::lang::principal::Principal;
use crate::{interrupt, progress, space};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether weights may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// `--fetch`: for the script and for the libraries that it uses.
    Flag,
    /// `fetch = true` in lathe.toml: for the script.
    Project,
    /// Somebody sits at the terminal and says it each time.
    Ask,
    /// Nobody said so.
    Never,
}

/// What an engine may fetch, and where it pins what came. An engine without fetches nothing, and finds what is in the caches.
#[derive(Clone)]
pub struct Fetching {
    consent: Consent,
    pins: Option<Arc<dyn Pins>>,
}

impl Fetching {
    /// By that consent, with the pins of the project, if there is one.
    pub fn new(consent: Consent, pins: Option<Arc<dyn Pins>>) -> Self {
        Fetching { consent, pins }
    }
}

impl Cx<'_> {
    /// The file or folder of weights that a text names: a reference (`hf://owner/repo/file`), a published name where no file is called so, or else a
    /// path, which stays as it is. What is not there is fetched where that is allowed.
    ///
    /// # Errors
    /// `E0202` for a broken reference; `E0303` for weights that are not there and may not or cannot be fetched, with what to type.
    pub fn weights(&self, text: &str) -> Result<PathBuf> {
        match self.named(text)? {
            Some((item, files)) if item.is_folder || files.len() == 1 => Ok(item.path(&files)),
            Some((item, files)) => Err(Error::value("weights", format!("`{}` is {} files, and one is needed here", item.name, files.len()))),
            None => Ok(PathBuf::from(text)),
        }
    }

    /// The same where several files together may be meant, as with `lpips`.
    ///
    /// # Errors
    /// As [`Cx::weights`].
    pub fn weight_files(&self, text: &str) -> Result<Vec<PathBuf>> {
        Ok(match self.named(text)? {
            Some((item, files)) if item.is_folder => vec![item.path(&files)],
            // Of weights in several files the list of them stands for all.
            Some((item, files)) => files.into_iter().take(item.parts.len()).collect(),
            None => vec![PathBuf::from(text)],
        })
    }

    fn named(&self, text: &str) -> Result<Option<(Item, Vec<PathBuf>)>> {
        let item = if fetch::is_reference(text) {
            fetch::parse(text)?
        } else {
            match published::named(text).filter(|_| !Path::new(text).exists()) {
                Some(item) => item,
                None => return Ok(None),
            }
        };
        let files = self.fetched(&item, || absent(&item, format!("the weights `{}` are not here", item.name)))?;
        Ok(Some((item, files)))
    }

    /// The files of published weights; `missing` is the error where they are not there and nobody allows to fetch them.
    ///
    /// # Errors
    /// `missing`; `E0303` when they cannot be fetched.
    pub fn fetched(&self, item: &Item, missing: impl FnOnce() -> Error) -> Result<Vec<PathBuf>> {
        let fetching = self.host().get::<Arc<Fetching>>();
        let pins = fetching.as_ref().and_then(|f| f.pins.as_deref());
        let there = fetch::usable(item, pins)?;
        let files = match there {
            Some(files) => files,
            None => {
                let consent = fetching.as_ref().map_or(Consent::Never, |f| f.consent);
                self.consent(consent, item, missing)?;
                fetch::fetch(item, pins, false)?
            }
        };
        self.host().get_or_default::<Found>().add(&files);
        Ok(files)
    }

    /// Makes sure that this may be fetched now.
    fn consent(&self, consent: Consent, item: &Item, missing: impl FnOnce() -> Error) -> Result<()> {
        if let (Principal::Library(name), false) = (who(self), consent == Consent::Flag) {
            let message =
                format!("the library `{name}` wants the weights `{}`, which are not here: libraries fetch nothing by themselves", item.name);
            return Err(absent(item, message));
        }
        let says = match consent {
            Consent::Flag => "--fetch",
            Consent::Project => "`fetch = true` in lathe.toml",
            Consent::Ask if answered(item)? => return Ok(()),
            Consent::Ask | Consent::Never => return Err(missing()),
        };
        space::say(&format!("the weights `{}` are not here: they are fetched, as {says} says", item.name));
        Ok(())
    }
}

/// Weights are not here, and this is how to get them.
fn absent(item: &Item, message: String) -> Error {
    Error::fetch(message).help(format!("`lathe fetch {}` fetches them ({}); or run again with `--fetch`", item.name, item.sources()))
}

/// Asks whoever sits at the terminal. Ctrl-C is an answer as well.
fn answered(item: &Item) -> Result<bool> {
    // In offline mode the answer would change nothing.
    if fetch::offline().is_some() {
        return Ok(true);
    }
    progress::line(&format!("The weights `{}` are not here. Fetch them ({})? [y/N]", item.name, item.sources()));
    let input = std::io::stdin();
    let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&pause)).unwrap_or(0) == 0 {
        interrupt::check()?;
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    Ok(read.is_ok() && matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
