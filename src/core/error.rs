//! Errors with codes and fields, and the diagnostics that show them.
//!
//! A user's fault is an [`Error`]; our own fault is an `expect` that says why it cannot happen. The message says what was
//! wrong with which values, the help says what to type. Lower case, no full stop, values in backticks.

mod diagnostic;
mod nearest;

pub use diagnostic::{Diagnostic, Label};
pub use nearest::{Replacement, did_you_mean, nearest};

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the values that were involved. Each variant has one code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A flag, a setting or a command that cannot be used as given.
    #[error("{message}")]
    Usage {
        /// What was wrong with which flag.
        message: String,
    },
    /// A libtorch operator refused its input.
    #[error("{op}: {message}")]
    Torch {
        /// The operator's name, as in PyTorch.
        op: String,
        /// libtorch's message, without the C++ trace.
        message: String,
    },
    /// A value of the wrong type, shape or range handed to one of our functions.
    #[error("{op}: {message}")]
    Value {
        /// The function.
        op: String,
        /// What it expected and what it got.
        message: String,
    },
    /// Not enough memory on a device.
    #[error("{op}: out of memory: {message}")]
    OutOfMemory {
        /// The operator's name.
        op: String,
        /// How much was asked for.
        message: String,
    },
    /// A device that was asked for and is not there.
    #[error("device `{device}` is not available: {message}")]
    Device {
        /// As it was written on the command line.
        device: String,
        /// Why not.
        message: String,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// `read`, `write`, `create`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's own words.
        source: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("`{}`: {message}", path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file that could not be had from the net.
    #[error("{message}")]
    Fetch {
        /// Which file, from where, and why not.
        message: String,
    },
    /// Weights that do not belong to the model they are loaded into.
    #[error("{message}")]
    Weights {
        /// Which keys are missing, unexpected or of another shape.
        message: String,
    },
    /// A script that does not parse, pass the lint or run.
    #[error("{}", .0.message)]
    Script(Box<Diagnostic>),
    /// A training run that cannot go on: a non-finite loss, a broken checkpoint.
    #[error("{message}")]
    Run {
        /// What happened at which step.
        message: String,
    },
    /// A path that the script may not read or write.
    #[error("{message}")]
    Permission {
        /// The path and the flag that would allow it.
        message: String,
    },
    /// The processes of a job did not come together.
    #[error("{message}")]
    Join {
        /// Who did not come, and where they were to meet.
        message: String,
    },
    /// Another process of the job is gone, or did not answer in time.
    #[error("{message}")]
    Lost {
        /// Which one, as far as is known.
        message: String,
    },
    /// The processes of a job differ where they must not.
    #[error("{message}")]
    Disagree {
        /// In what, with the difference.
        message: String,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// The process stopped because it used more memory than it may.
    #[error("out of memory: {}", .0.message)]
    OverMemory(Box<Diagnostic>),
    /// Something failed that the user has been told of already.
    #[error("failed")]
    Shown,
}

/// The code of everything that had too little memory.
const MEMORY: &str = "E0203";

/// An error with its code, an optional remedy, and what was being done.
pub struct Error {
    kind: Box<ErrorKind>,
    help: Option<String>,
    context: Vec<String>,
}

impl Error {
    /// Wraps a kind without help or context.
    pub fn new(kind: ErrorKind) -> Self {
        Error { kind: Box::new(kind), help: None, context: Vec::new() }
    }

    /// A flag or setting that cannot be used: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage { message: message.into() })
    }

    /// A wrong value handed to the function `op`.
    pub fn value(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value { op: op.into(), message: message.into() })
    }

    /// A failed file operation; `action` is the verb (`read`, `write`, `create`, `open`, `list`, `rename`).
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io { action, path: path.as_ref().to_owned(), source })
    }

    /// A file whose content is wrong.
    pub fn data(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data { path: path.as_ref().to_owned(), message: message.into() })
    }

    /// A file that could not be fetched.
    pub fn fetch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fetch { message: message.into() })
    }

    /// Weights that do not fit their model.
    pub fn weights(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Weights { message: message.into() })
    }

    /// A run that cannot go on.
    pub fn run(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Run { message: message.into() })
    }

    /// Processes that did not come together.
    pub fn join(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Join { message: message.into() })
    }

    /// A process of the job that is gone or silent: exit code 75.
    pub fn lost(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Lost { message: message.into() })
    }

    /// Processes of one job that differ.
    pub fn disagree(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Disagree { message: message.into() })
    }

    /// A libtorch operator's refusal.
    pub fn torch(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Torch { op: op.into(), message: message.into() })
    }

    /// A script error with its place.
    pub fn script(diagnostic: Diagnostic) -> Self {
        Self::new(ErrorKind::Script(Box::new(diagnostic)))
    }

    /// Ctrl-C or SIGTERM.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted)
    }

    /// More memory than the process may use, with the place in the script where it stopped for it.
    pub fn over_memory(diagnostic: Diagnostic) -> Self {
        Self::new(ErrorKind::OverMemory(Box::new(diagnostic)))
    }

    /// A failure that the user has been told of already: only the exit code is left.
    pub fn shown() -> Self {
        Self::new(ErrorKind::Shown)
    }

    /// The same with its places in scripts as `place` says them.
    #[must_use]
    pub fn placed(mut self, place: &dyn Fn(&mut Label)) -> Self {
        if let ErrorKind::Script(d) = &mut *self.kind {
            d.place(place);
        }
        self
    }

    /// Whether the user has been told already.
    pub fn is_shown(&self) -> bool {
        matches!(*self.kind, ErrorKind::Shown)
    }

    /// Adds the remedy: what the user can type.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert_with(|| help.into());
        self
    }

    /// Adds what was being done; the outermost goes first in the message.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.context.push(context.into());
        self
    }

    /// The same of a file that will have another place: what lies in the folder `from` now will lie in `to`.
    #[must_use]
    pub fn moved(mut self, from: &Path, to: &Path) -> Self {
        if let ErrorKind::Io { path, .. } | ErrorKind::Data { path, .. } = &mut *self.kind
            && let Ok(rest) = path.strip_prefix(from)
        {
            *path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
        }
        self
    }

    /// What was being done, the innermost first.
    pub fn contexts(&self) -> &[String] {
        &self.context
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The remedy, if one is known.
    pub fn help_text(&self) -> Option<&str> {
        match (&self.help, &*self.kind) {
            (Some(h), _) => Some(h),
            (None, ErrorKind::Script(d) | ErrorKind::OverMemory(d)) => d.help.as_deref(),
            _ => None,
        }
    }

    /// Whether something asked everything to stop: Ctrl-C, SIGTERM, or too much memory in use. No `catch` may hold that up.
    pub fn is_interrupt(&self) -> bool {
        matches!(*self.kind, ErrorKind::Interrupted | ErrorKind::OverMemory(_))
    }

    /// Whether the user asked to stop, who need not be told why.
    pub fn is_asked(&self) -> bool {
        matches!(*self.kind, ErrorKind::Interrupted)
    }

    /// Whether memory was short, for one call or for the process.
    pub fn is_memory(&self) -> bool {
        self.code() == MEMORY
    }

    /// The stable code, as printed in `error[E0201]`.
    pub fn code(&self) -> &'static str {
        match &*self.kind {
            ErrorKind::Usage { .. } => "E0101",
            ErrorKind::Torch { .. } => "E0201",
            ErrorKind::Value { .. } => "E0202",
            ErrorKind::OutOfMemory { .. } | ErrorKind::OverMemory(_) => MEMORY,
            ErrorKind::Device { .. } => "E0204",
            ErrorKind::Io { .. } => "E0301",
            ErrorKind::Data { .. } => "E0302",
            ErrorKind::Fetch { .. } => "E0303",
            ErrorKind::Weights { .. } => "E0401",
            ErrorKind::Script(d) => d.code,
            ErrorKind::Run { .. } => "E0601",
            ErrorKind::Permission { .. } => "E0701",
            ErrorKind::Join { .. } => "E0801",
            ErrorKind::Lost { .. } => "E0802",
            ErrorKind::Disagree { .. } => "E0803",
            ErrorKind::Interrupted => "E0901",
            ErrorKind::Shown => "E0501",
        }
    }

    /// The process's exit code: 1 script or run failed, 2 usage, 75 another process of the job is gone, 130 interrupted.
    pub fn exit_code(&self) -> i32 {
        match &*self.kind {
            ErrorKind::Usage { .. } => 2,
            // What a scheduler takes for a passing failure (EX_TEMPFAIL of sysexits.h): the same command goes on.
            ErrorKind::Lost { .. } => 75,
            ErrorKind::Interrupted => 130,
            _ => 1,
        }
    }

    /// The error as a user sees it: code, message, source line with caret where there is one, help.
    pub fn render(&self, color: bool) -> String {
        if let ErrorKind::Script(d) | ErrorKind::OverMemory(d) = &*self.kind {
            let help = self.help.clone().or_else(|| d.help.clone());
            return Diagnostic { message: self.to_string(), help, ..(**d).clone() }.render(color);
        }
        Diagnostic { help: self.help.clone(), ..Diagnostic::plain(self.code(), self.to_string()) }.render(color)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.context.iter().rev() {
            write!(f, "{c}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.render(false))
    }
}

impl std::error::Error for Error {}
