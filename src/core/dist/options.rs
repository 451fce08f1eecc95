//! How ranks work together: the flags.

use crate::error::{Error, Result, did_you_mean};
use crate::torch::bridge::dist::Wire;
use std::collections::BTreeMap;
use std::time::Duration;

/// What carries tensors between ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// NCCL where ranks have GPUs, else Gloo.
    #[default]
    Auto,
    /// Gloo: CPUs, over TCP.
    Gloo,
    /// NCCL: GPUs.
    Nccl,
}

/// Which random numbers ranks draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rng {
    /// Those of one process: each rank draws for the whole batch and takes its rows.
    #[default]
    Global,
    /// Each its own.
    Rank,
}

/// The flags of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `--dist-backend`.
    pub backend: Backend,
    /// `--dist-timeout`: how long a rank waits for another.
    pub timeout: Duration,
    /// `--dist-join-timeout`: how long it waits for all to come.
    pub join_timeout: Duration,
    /// `--dist-bucket-mb`, in bytes; `None`: 25 MB, and 8 MB on Gloo, where few large ones hide little of the way.
    pub bucket: Option<i64>,
    /// `--dist-wire`: what gradients are sent as.
    pub wire: Wire,
    /// `--rng`.
    pub rng: Rng,
    /// `--shard-optimizer`: whether moments and averages are shared out among ranks.
    pub shard_optimizer: bool,
    /// `--dist-iface`: the interface or the address to listen at; empty: as Gloo and NCCL choose.
    pub iface: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            backend: Backend::Auto,
            timeout: Duration::from_secs(600),
            join_timeout: Duration::from_secs(300),
            bucket: None,
            wire: Wire::Same,
            rng: Rng::Global,
            shard_optimizer: false,
            iface: String::new(),
        }
    }
}

/// The names of the flags, as settings are spelled.
pub const FLAGS: &[&str] =
    &["dist_backend", "dist_timeout", "dist_join_timeout", "dist_bucket_mb", "dist_wire", "rng", "shard_optimizer", "dist_iface"];

/// Those that are switches, and need no value.
pub const SWITCHES: &[&str] = &["shard_optimizer"];

impl Options {
    /// Takes the value of a flag, by its name in [`FLAGS`].
    ///
    /// # Errors
    /// `E0101` for a value that the flag does not have.
    pub fn set(&mut self, flag: &str, value: &str) -> Result<()> {
        let dashed = flag.replace('_', "-");
        let one_of = |names: &[&str]| {
            let near = did_you_mean(value, names.iter().copied());
            Error::usage(format!("`--{dashed} {value}` is not known{near}")).help(format!("one of: {}", names.join(", ")))
        };
        let number = |low: u64, high: u64, unit: &str| {
            value
                .parse::<u64>()
                .ok()
                .filter(|n| (low..=high).contains(n))
                .ok_or_else(|| Error::usage(format!("`--{dashed}` must be a number of {unit} from {low} to {high}, got `{value}`")))
        };
        match flag {
            "dist_backend" => {
                self.backend = match value {
                    "auto" => Backend::Auto,
                    "gloo" => Backend::Gloo,
                    "nccl" => Backend::Nccl,
                    _ => return Err(one_of(&["auto", "gloo", "nccl"])),
                }
            }
            "dist_timeout" => self.timeout = Duration::from_secs(number(1, 86_400 * 7, "seconds")?),
            "dist_join_timeout" => self.join_timeout = Duration::from_secs(number(1, 86_400 * 7, "seconds")?),
            "dist_bucket_mb" => self.bucket = Some(i64::try_from(number(1, 4096, "MB")?).unwrap_or(25) << 20),
            "dist_wire" => {
                self.wire = match value {
                    "f32" => Wire::Same,
                    "bf16" => Wire::Bf16,
                    "fp16" | "f16" => Wire::Fp16,
                    _ => return Err(one_of(&["f32", "bf16", "fp16"])),
                }
            }
            "rng" => {
                self.rng = match value {
                    "global" => Rng::Global,
                    "rank" => Rng::Rank,
                    _ => return Err(one_of(&["global", "rank"])),
                }
            }
            "shard_optimizer" => {
                self.shard_optimizer = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(one_of(&["true", "false"])),
                }
            }
            _ => self.iface = value.to_owned(),
        }
        Ok(())
    }

    /// What decides about the numbers, as flags: for a record.
    pub fn recorded(&self) -> BTreeMap<String, String> {
        let wire = match self.wire {
            Wire::Same => "f32",
            Wire::Bf16 => "bf16",
            Wire::Fp16 => "fp16",
        };
        let rng = if self.rng == Rng::Global { "global" } else { "rank" };
        let mut flags = BTreeMap::from([("dist_wire".to_owned(), wire.to_owned()), ("rng".to_owned(), rng.to_owned())]);
        flags.extend(self.bucket.map(|n| ("dist_bucket_mb".to_owned(), (n >> 20).to_string())));
        flags.extend(self.shard_optimizer.then(|| ("shard_optimizer".to_owned(), "true".to_owned())));
        flags
    }

    /// The size of a bucket of gradients, in bytes.
    pub fn bucket_bytes(&self) -> i64 {
        self.bucket.unwrap_or(if self.backend == Backend::Nccl { 25 << 20 } else { 8 << 20 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_or_refused() {
        let mut o = Options::default();
        for (flag, value) in [
            ("dist_backend", "gloo"),
            ("dist_timeout", "8"),
            ("dist_bucket_mb", "4"),
            ("dist_wire", "bf16"),
            ("rng", "rank"),
            ("shard_optimizer", "true"),
            ("dist_iface", "eth0"),
        ] {
            assert!(FLAGS.contains(&flag));
            o.set(flag, value).unwrap();
        }
        assert_eq!(
            (o.backend, o.timeout.as_secs(), o.bucket_bytes(), o.wire, o.rng, o.iface.as_str()),
            (Backend::Gloo, 8, 4 << 20, Wire::Bf16, Rng::Rank, "eth0")
        );
        assert!(o.shard_optimizer && o.recorded()["shard_optimizer"] == "true" && !Options::default().recorded().contains_key("shard_optimizer"));
        assert!(o.set("dist_backend", "glo").unwrap_err().to_string().contains("did you mean `gloo`"));
        for (flag, value) in
            [("dist_timeout", "0"), ("dist_timeout", "-1"), ("dist_bucket_mb", "x"), ("rng", ""), ("dist_wire", "f64"), ("shard_optimizer", "2")]
        {
            assert_eq!(o.set(flag, value).unwrap_err().code(), "E0101", "{flag} {value}");
        }
    }
}
