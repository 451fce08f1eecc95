//! The name that was meant by one that nobody knows.

/// The nearest of `known` to `name`, if it is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() + 1).div_euclid(3).max(1);
    known
        .into_iter()
        .filter(|k| *k != name && shares_letter(name, k))
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, k)| k)
}

/// Every name of one letter is near to every other: only the same letter in the other case, or with one more behind it, was meant.
fn shares_letter(name: &str, known: &str) -> bool {
    let (mut letters, mut others) = (name.chars(), known.chars());
    match (letters.next(), letters.next(), others.next()) {
        (Some(letter), None, Some(other)) => letter.to_lowercase().eq(other.to_lowercase()),
        _ => true,
    }
}

/// ``, did you mean `x`?`` or nothing, for behind the name in backticks: see [`Replacement`].
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |k| format!("{OFFER}{k}`?"))
}

/// What stands between a slip and the name that was meant.
const OFFER: &str = ", did you mean `";

/// A slip that a word mends. It stands at the place of the fault or shortly behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replacement {
    /// What is written.
    pub old: String,
    /// What belongs there.
    pub new: String,
}

impl Replacement {
    /// What [`did_you_mean`] has put into a message: `` no function `zeors`, did you mean `zeros`? ``
    pub(super) fn offered(message: &str) -> Option<Replacement> {
        let (before, behind) = message.split_once(OFFER)?;
        let (new, _) = behind.split_once('`')?;
        let (_, old) = before.strip_suffix('`')?.rsplit_once('`')?;
        Some(Replacement { old: old.to_owned(), new: new.to_owned() })
    }
}
