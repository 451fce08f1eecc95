//! How long libgomp's threads spin at a barrier: `spin.c` decides it before `main`; here is what was decided, for reports.

use std::ffi::c_long;
use std::fmt;

unsafe extern "C" {
    fn lathe_spin_count() -> c_long;
}

/// Who decided how many turns a thread of libgomp spins before it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spin {
    /// Lathe: as if `GOMP_SPINCOUNT` were this.
    Lathe(u32),
    /// The user, by `GOMP_SPINCOUNT` or `OMP_WAIT_POLICY`.
    User,
    /// Nobody, so libgomp's own 300,000 turns: a program that embeds Lathe, another system than Linux, or an empty environment.
    Libgomp,
}

/// What was decided when this process started.
pub fn spin() -> Spin {
    // SAFETY: reads a number that is written before `main` only.
    let count = unsafe { lathe_spin_count() };
    match u32::try_from(count) {
        Ok(0) => Spin::Libgomp,
        Ok(n) => Spin::Lathe(n),
        Err(_) => Spin::User,
    }
}

impl fmt::Display for Spin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Spin::Lathe(n) => write!(f, "GOMP_SPINCOUNT={n}, set by lathe"),
            Spin::User => f.write_str("by GOMP_SPINCOUNT or OMP_WAIT_POLICY of the environment"),
            Spin::Libgomp => f.write_str("libgomp's own"),
        }
    }
}
