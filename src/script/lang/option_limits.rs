//! What the value of an option is limited to, beyond its type.

use rhai::Dynamic;
use std::ops::{Bound, RangeBounds};

/// Choices or bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limits {
    /// Any value of the type.
    None,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A number from the first to the second.
    Within(Bound<f64>, Bound<f64>),
}

/// A number that can be a bound.
pub trait BoundNumber: Copy {
    /// As a float.
    fn float(self) -> f64;
}
impl BoundNumber for i64 {
    fn float(self) -> f64 {
        self as f64
    }
}
impl BoundNumber for f64 {
    fn float(self) -> f64 {
        self
    }
}

impl Limits {
    /// The numbers of a range.
    pub fn within<N: BoundNumber>(range: impl RangeBounds<N>) -> Limits {
        Limits::Within(range.start_bound().map(|n| n.float()), range.end_bound().map(|n| n.float()))
    }

    /// No limit in place of no choices.
    pub(crate) fn or_none(self) -> Limits {
        if self == Limits::OneOf(&[]) { Limits::None } else { self }
    }

    /// Whether a value is within them. What is no number has no bounds.
    pub fn allow(self, value: &Dynamic) -> bool {
        match self {
            Limits::None => true,
            Limits::OneOf(choices) => value.read_lock::<rhai::ImmutableString>().is_none_or(|s| choices.contains(&s.as_str())),
            Limits::Within(low, high) => {
                let number = value.as_float().or_else(|_| value.as_int().map(|i| i as f64));
                number.map_or(true, |n| (low, high).contains(&n))
            }
        }
    }

    /// The choices, where there are any.
    pub fn choices(self) -> &'static [&'static str] {
        if let Limits::OneOf(choices) = self { choices } else { &[] }
    }

    /// In words, after "must be": ``one of `a`, `b` ``, `from 0 to 1`, `at least 1`.
    pub fn text(self) -> String {
        let number = |n: f64| format!("{n}");
        match self {
            Limits::None => String::new(),
            Limits::OneOf(choices) => format!("one of {}", choices.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ")),
            Limits::Within(Bound::Included(a), Bound::Included(b)) => format!("from {} to {}", number(a), number(b)),
            Limits::Within(low, high) => {
                let low = match low {
                    Bound::Included(n) => Some(format!("at least {}", number(n))),
                    Bound::Excluded(n) => Some(format!("above {}", number(n))),
                    Bound::Unbounded => None,
                };
                let high = match high {
                    Bound::Included(n) => Some(format!("at most {}", number(n))),
                    Bound::Excluded(n) => Some(format!("below {}", number(n))),
                    Bound::Unbounded => None,
                };
                low.into_iter().chain(high).collect::<Vec<_>>().join(" and ")
            }
        }
    }
}
