//! What can go wrong on the way, by what follows from it.

use crate::error::Error;
use std::time::Duration;

/// A fetch that did not come to its end.
pub(super) enum Failure {
    /// It may go better soon; the server may have said when.
    Passing(Error, Option<Duration>),
    /// There is no such file; another place may have it.
    Missing(Error),
    /// Nothing helps but the user.
    Final(Error),
}

impl Failure {
    /// The error itself.
    pub(super) fn into_error(self) -> Error {
        match self {
            Failure::Passing(e, _) | Failure::Missing(e) | Failure::Final(e) => e,
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Final(e)
    }
}
