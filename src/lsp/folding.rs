//! What can be folded away: brackets over several lines, comments, imports.

use crate::script::text::items::ItemKind;
use crate::script::text::script::Script;
use crate::script::text::token::Kind;
use gen_lsp_types::{FoldingRange, FoldingRangeKind};

fn fold(start: usize, end: usize, kind: Option<FoldingRangeKind>) -> FoldingRange {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    FoldingRange { start_line: small(start), start_character: None, end_line: small(end), end_character: None, kind, collapsed_text: None }
}

/// The parts of a text that can be folded, in whole lines.
pub fn ranges(script: &Script) -> Vec<FoldingRange> {
    let line = |offset: usize| script.lines.line(offset);
    let mut out: Vec<FoldingRange> = Vec::new();
    for (i, token) in script.code.iter().enumerate().filter(|(_, t)| matches!(t.kind, Kind::Open(_))) {
        let Some(close) = script.pairs[i] else { continue };
        // The line of the closing bracket stays.
        let (start, end) = (line(token.start), line(script.code[close].start).saturating_sub(1));
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        if end > start && !out.iter().rev().take_while(|f| f.start_line == small(start)).any(|f| f.end_line == small(end)) {
            out.push(fold(start, end, None));
        }
    }
    let mut runs: Vec<(usize, usize, FoldingRangeKind)> = Vec::new();
    let comments = script.comments.iter().map(|c| (line(c.start), line(c.end.saturating_sub(1).max(c.start)), FoldingRangeKind::Comment));
    let imports = script.items.iter().filter(|i| matches!(i.kind, ItemKind::Import { .. }));
    let imports = imports.map(|i| (line(i.range.start), line(i.range.end), FoldingRangeKind::Imports));
    for (start, end, kind) in comments.chain(imports) {
        match runs.last_mut() {
            Some(run) if run.2 == kind && run.1 + 1 >= start => run.1 = end,
            _ => runs.push((start, end, kind)),
        }
    }
    out.extend(runs.into_iter().filter(|r| r.1 > r.0).map(|(start, end, kind)| fold(start, end, Some(kind))));
    out
}
