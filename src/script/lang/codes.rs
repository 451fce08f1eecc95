//! The codes of a script's errors, and the words by which rhai is told to end a script.

/// A script threw, or a language construct failed.
pub(crate) const RUNTIME: &str = "E0501";
/// A script does not parse.
pub(crate) const PARSE: &str = "E0502";
/// A script calls what does not exist.
pub(crate) const LINT: &str = "E0503";
/// An import that cannot be resolved.
pub(crate) const IMPORT: &str = "E0504";
/// An exceeded limit.
pub(crate) const LIMIT: &str = "E0505";

/// Why Ctrl-C ended a script, as rhai's termination token.
pub(crate) const INTERRUPTED: &str = "interrupted";
/// Why the stack guard ended a script.
pub(crate) const OUT_OF_STACK: &str = "out of stack";
