//! Libraries: folders of modules with a `recipe.toml`, named in a project's `lathe.toml`, pinned in its `lathe.lock`.

mod digest;
mod edit;
mod git;
mod library;
mod lock;
mod manifest;
mod project;
mod resolve;
mod said;
mod weights;

pub use edit::{Added, Removed};
pub use library::{Library, Rights};
pub use manifest::Entry;
pub(crate) use manifest::is_name;
pub use project::{LATHE_TOML, LIBRARY_TOML, LOCK, Project};
pub use resolve::{Libraries, Update, Wrong, short};
pub use weights::PinnedWeights;
