//! What a decoder is asked for, and what it has to tell.

use super::{MAX_PIXELS, Reason};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard};

/// Pictures with more pixels are decoded one at a time, so that many threads cannot use up the memory together.
const LARGE_PIXELS: u64 = 1 << 25;

/// Held while a large picture is decoded and scaled down.
static LARGE: Mutex<()> = Mutex::new(());

/// What becomes of 16-bit grey.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelRule {
    /// Values above 255 are 255, as in Pillow's `convert("RGB")`.
    #[default]
    Pillow,
    /// 0 to 65535 become 0 to 255.
    Scale,
}

impl PixelRule {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            PixelRule::Pillow => "pillow",
            PixelRule::Scale => "scale",
        }
    }
}

/// What a picture lost on its way to 8-bit RGB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// 16-bit grey above 255 was clipped.
    pub clipped: bool,
    /// Some of it was transparent, and is not now.
    pub alpha: bool,
}

/// One picture's decoding.
pub(super) struct Task {
    pub(super) rule: PixelRule,
    lost: Cell<Lost>,
    turn: Cell<Option<MutexGuard<'static, ()>>>,
}

impl Task {
    pub(super) fn new(rule: PixelRule) -> Task {
        Task { rule, lost: Cell::default(), turn: Cell::new(None) }
    }

    /// Asked with the size in the header, before anything is allocated.
    pub(super) fn admit(&self, width: u64, height: u64) -> Result<(), Reason> {
        if width == 0 || height == 0 {
            return Err(format!("a picture of {width} x {height} pixels"));
        }
        let pixels = width.saturating_mul(height);
        if pixels > MAX_PIXELS {
            return Err(format!("{width} x {height} pixels are more than the limit of {MAX_PIXELS}"));
        }
        if pixels > LARGE_PIXELS {
            // A poisoned lock guards nothing but the turn itself.
            self.turn.set(Some(LARGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)));
            crate::memory::ask(pixels.saturating_mul(4)).map_err(|why| format!("{width} x {height} pixels: {why}"))?;
        }
        Ok(())
    }

    pub(super) fn clipped(&self) {
        self.lost.set(Lost { clipped: true, ..self.lost.get() });
    }

    /// Notes whether something transparent was dropped.
    pub(super) fn transparent(&self, is: bool) {
        let lost = self.lost.get();
        self.lost.set(Lost { alpha: lost.alpha || is, ..lost });
    }

    /// What was lost, and the turn of a large picture.
    pub(super) fn end(self) -> (Lost, Option<MutexGuard<'static, ()>>) {
        (self.lost.get(), self.turn.into_inner())
    }
}
