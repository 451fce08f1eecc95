//! What was found, and the lists that are made of it.

use crate::process::Outcome;
use lathe::torch::operators::Schema;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Everything that was tried.
#[derive(Default)]
pub struct Report(BTreeMap<String, Outcome>);

impl Report {
    pub fn add(&mut self, name: &str, outcome: Outcome) {
        self.0.insert(name.to_owned(), outcome);
    }

    pub fn seen(&self) -> usize {
        self.0.len()
    }

    pub fn is_clean(&self) -> bool {
        self.0.values().all(|o| o.faults.is_empty())
    }

    pub fn summary(&self) -> String {
        let sum = |f: fn(&Outcome) -> u64| self.0.values().map(f).sum::<u64>();
        let bad = self.0.values().filter(|o| !o.faults.is_empty()).count();
        let never = self.0.values().filter(|o| o.faults.is_empty() && o.returned == 0).count();
        format!(
            "{} tried with {} calls, of which {} returned and {} were interrupted; {bad} with faults, {never} that never returned",
            self.0.len(),
            sum(|o| o.calls),
            sum(|o| o.returned),
            sum(|o| o.slow)
        )
    }
}

/// Writes `allowed.txt` and `refused.txt` into a folder.
pub fn write(folder: &Path, report: &Report, schemas: &[Schema], closed: Vec<(String, &'static str)>) {
    // What was not tried this time stays as it is.
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let (old_allowed, old_refused) = (read("allowed.txt"), read("refused.txt"));
    let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, String> = closed.iter().map(|(n, why)| (n.as_str(), (*why).to_owned())).collect();
    for line in old_allowed.lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split('>').next().unwrap_or_default().split_whitespace();
        let Some(base) = words.next() else { continue };
        for overload in words.filter(|o| !report.0.contains_key(&format!("{base}.{o}")) && !refused.contains_key(format!("{base}.{o}").as_str())) {
            allowed.entry(base).or_default().push(overload);
        }
    }
    for (name, why) in old_refused.lines().filter_map(|l| l.split_once(' ')).filter(|(n, _)| *n != "#" && !report.0.contains_key(*n)) {
        refused.entry(name).or_insert_with(|| why.to_owned());
    }
    for (name, outcome) in &report.0 {
        let (base, overload) = name.split_once('.').unwrap();
        if let Some(fault) = outcome.faults.first() {
            let what = fault.split(" (call").next().unwrap_or(fault);
            refused.insert(name, what.to_owned());
        } else if outcome.returned == 0 {
            refused.insert(name, "took none of the arguments that were tried, so that nothing is known of it".to_owned());
        } else {
            allowed.entry(base).or_default().push(overload);
        }
    }
    // Those with tensors for the results are called without, and what they return is copied.
    let mut outs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (i, out) in schemas.iter().enumerate().filter(|(_, s)| !s.out_params().is_empty()) {
        let is_allowed = |s: &Schema| {
            let full = s.full_name();
            full.split_once('.').is_some_and(|(base, overload)| allowed.get(base).is_some_and(|list| list.contains(&overload)))
        };
        let plain = schemas.iter().find(|s| out.is_out_of(s) && is_allowed(s));
        if plain.is_some() {
            outs.entry(out.name.strip_prefix("aten::").unwrap()).or_default().push(&schemas[i].overload);
        }
    }
    let mut text = String::from("# Operators that scripts may call, with their overloads. Made by `make operators`: not to be edited.\n");
    for (base, overloads) in &allowed {
        let out = outs.get(base).map(|o| format!(" > {}", o.join(" "))).unwrap_or_default();
        let mut overloads = overloads.clone();
        overloads.sort_unstable();
        writeln!(text, "{base} {}{out}", overloads.join(" ")).unwrap();
    }
    std::fs::write(folder.join("allowed.txt"), text).unwrap();
    let mut text = String::from("# Operators that scripts may not call, each with why. Made by `make operators`: not to be edited.\n");
    for (name, why) in refused.iter().filter(|(_, why)| !why.starts_with("writes into `out`")) {
        writeln!(text, "{name} {why}").unwrap();
    }
    std::fs::write(folder.join("refused.txt"), text).unwrap();
    let sum = |of: &BTreeMap<&str, Vec<&str>>| of.values().map(Vec::len).sum::<usize>();
    println!(
        "{} names with {} overloads and {} with `out` are allowed, {} overloads are refused",
        allowed.len(),
        sum(&allowed),
        sum(&outs),
        refused.len()
    );
}
