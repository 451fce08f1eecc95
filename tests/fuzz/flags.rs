//! The flags of the fuzz.

use std::path::PathBuf;
use std::time::Duration;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Flags {
    /// `ops` or `api`.
    pub family: String,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Calls of each overload or function.
    pub calls: u64,
    /// Ends after so long; what was not reached is said.
    pub time: Option<Duration>,
    /// Names that contain it alone.
    pub only: Option<String>,
    /// Whether overloads that are not listed are tried as well.
    pub all: bool,
    /// The folder that the lists are written to.
    pub write: Option<PathBuf>,
    /// Processes at once.
    pub jobs: usize,
    /// Prints this call alone, and makes it.
    pub case: Option<u64>,
    /// For a process of the fuzz itself: the call to go on with.
    pub from: u64,
    /// For a process of the fuzz itself: what it tries.
    pub worker: Option<String>,
}

impl Flags {
    /// # Panics
    /// For flags that are not known.
    pub fn read(args: impl Iterator<Item = String>) -> Flags {
        let jobs = std::thread::available_parallelism().map_or(2, usize::from);
        let mut f = Flags {
            family: String::new(),
            seed: 1,
            calls: 300,
            time: None,
            only: None,
            all: false,
            write: None,
            jobs,
            case: None,
            from: 0,
            worker: None,
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("`{arg}` needs a value"));
            match arg.as_str() {
                "--seed" => f.seed = value().parse().expect("a number"),
                "--calls" => f.calls = value().parse().expect("a number"),
                "--time" => f.time = Some(Duration::from_secs(value().parse().expect("seconds"))),
                "--only" => f.only = Some(value()),
                "--all" => f.all = true,
                "--write" => f.write = Some(value().into()),
                "--jobs" => f.jobs = value().parse().expect("a number"),
                "--case" => f.case = Some(value().parse().expect("a number")),
                "--from" => f.from = value().parse().expect("a number"),
                "--worker" => f.worker = Some(value()),
                family if !family.starts_with('-') => f.family = family.to_owned(),
                other => panic!("no flag `{other}`: --seed --calls --time --only --all --write --jobs --case"),
            }
        }
        f
    }
}
