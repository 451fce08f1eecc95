//! Columns on the terminal.

use super::help::rows_of;
use crate::plain::shown;
use serde_json::Value;

/// Columns as wide as their widest cell, behind the rows' names. What cannot be seen is written out: cells come from files of strangers.
pub(super) fn table(rows: &[(String, Vec<String>)]) -> String {
    let rows: Vec<(String, Vec<String>)> = rows.iter().map(|(name, cells)| (shown(name), cells.iter().map(|c| shown(c)).collect())).collect();
    let width = |i: usize| rows.iter().filter_map(|(_, cells)| cells.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let line = |cells: &[String]| cells.iter().enumerate().map(|(i, c)| format!("{c:w$}  ", w = width(i))).collect::<String>();
    rows_of(&rows.iter().map(|(name, cells)| (name.clone(), line(cells).trim_end().to_owned())).collect::<Vec<_>>(), "  ", 36)
}

/// A setting's value; a dash where it is absent.
pub(super) fn value(v: &Value) -> String {
    if v.is_null() { "-".into() } else { v.to_string() }
}
