//! Sizes as people write and read them.

use super::Machine;
use crate::error::{Error, Result};

/// Less than this would refuse what every script needs.
const LEAST: u64 = 128 << 20;

/// Reads a limit: `8G`, `512M` (of 1024), a share of the machine such as `0.9` or `90%`; `0` and `none` are no limit.
///
/// # Errors
/// `E0101` for another text, a limit below 128 MiB, or a share where the system does not say how much there is.
pub fn parse(text: &str, machine: Option<Machine>) -> Result<Option<u64>> {
    let wrong = |why: &str| {
        Error::usage(format!("`--max-memory {text}`: {why}")).help("a size such as 8G or 512M, a share of the machine such as 0.9, or none")
    };
    let plain = text.trim().to_ascii_lowercase();
    if plain == "none" {
        return Ok(None);
    }
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    let number: f64 = plain[..end].parse().map_err(|_| wrong("is no size"))?;
    let unit = plain[end..].trim();
    let bytes = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit) {
        "" if number == 0.0 => return Ok(None),
        "" if unit.is_empty() && number <= 1.0 => number * of(machine).ok_or_else(|| wrong("the system does not say how much memory there is"))?,
        "%" if number <= 100.0 => number / 100.0 * of(machine).ok_or_else(|| wrong("the system does not say how much memory there is"))?,
        "" => return Err(wrong("a unit is missing")),
        "k" => number * 1024.0,
        "m" => number * 1024f64.powi(2),
        "g" => number * 1024f64.powi(3),
        "t" => number * 1024f64.powi(4),
        _ => return Err(wrong("is no size")),
    };
    if bytes < LEAST as f64 {
        return Err(wrong("is too little: Lathe and libtorch themselves need 128M"));
    }
    // Far beyond any machine it is as much as there is.
    Ok(Some(bytes as u64))
}

fn of(machine: Option<Machine>) -> Option<f64> {
    machine.map(|m| m.most() as f64)
}

/// `812 B`, `3.1 MiB`, `20.7 GiB`.
pub fn shown(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} PiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_of_the_machine() {
        let machine = Some(Machine { total: 16 << 30, group: Some(10 << 30) });
        for (text, want) in [
            ("8G", Some(8 << 30)),
            ("8 GiB", Some(8 << 30)),
            ("512m", Some(512 << 20)),
            ("1.5gb", Some(3 << 29)),
            ("2T", Some(2 << 40)),
            ("0.5", Some(5 << 30)),
            ("50%", Some(5 << 30)),
            ("1", Some(10 << 30)),
            ("0", None),
            ("none", None),
            ("999999999T", Some(u64::MAX)),
        ] {
            assert_eq!(parse(text, machine).unwrap_or_else(|e| panic!("{e}")), want, "{text}");
        }
        for (text, why) in [
            ("", "is no size"),
            ("-1G", "is no size"),
            ("8X", "is no size"),
            ("nan", "is no size"),
            ("1e9", "is no size"),
            ("G", "is no size"),
            ("8192", "a unit is missing"),
            ("64M", "is too little"),
            ("0.001", "is too little"),
            ("200%", "is no size"),
        ] {
            let e = parse(text, machine).unwrap_err();
            assert!(e.to_string().contains(why) && e.exit_code() == 2, "{text}: {e}");
        }
        assert!(parse("0.9", None).unwrap_err().to_string().contains("does not say"));
        assert_eq!([shown(812), shown(3 << 20), shown(u64::MAX)], ["812 B", "3.0 MiB", "16384.0 PiB"]);
    }
}
