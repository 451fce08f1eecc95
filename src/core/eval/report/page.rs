//! The page itself.

use super::cell::Cell;
use super::picture::Picture;
use crate::error::{Error, Result};
use crate::eval::{Chart, INK, MESH, PAPER, Series, curve_style};
use crate::files;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::Path;

/// More points than a small chart has pixels; of longer curves the smallest and largest value of each group is drawn.
const POINTS: usize = 600;

/// What a picture as wide as the page, and one beside others, may be enlarged to, in pixels.
const WIDE: u32 = 1160;
const NARROW: u32 = 512;

/// Pictures in a row that is named, such as what one VAE made of the row above.
#[derive(Debug, Clone)]
pub struct Strip {
    /// What the row is.
    pub label: String,
    /// Beside it, softer.
    pub note: String,
    /// The pictures, as one.
    pub picture: Picture,
    /// What it shows, for those who do not see it.
    pub alt: String,
}

/// A chart of curves with its words.
#[derive(Debug, Clone, Default)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below the title, softer.
    pub note: String,
    /// What it shows, for those who do not see it; empty takes the title and the curves' names.
    pub alt: String,
    /// Of the axes.
    pub x_label: String,
    /// Of the axes.
    pub y_label: String,
    /// Whether the vertical axis is logarithmic.
    pub log_y: bool,
}

enum Block {
    /// As wide as the page.
    Wide(Markup),
    /// Beside others, where there is room.
    Card(Markup),
}

struct Section {
    title: String,
    blocks: Vec<Block>,
}

/// A page that grows from top to bottom. All texts are escaped.
pub struct Page {
    title: String,
    lead: String,
    sections: Vec<Section>,
}

impl Page {
    /// An empty page with its heading and a sentence below it.
    pub fn new(title: impl Into<String>, lead: impl Into<String>) -> Self {
        Page { title: title.into(), lead: lead.into(), sections: vec![Section { title: String::new(), blocks: Vec::new() }] }
    }

    /// Begins a section.
    pub fn section(&mut self, title: impl Into<String>) {
        self.sections.push(Section { title: title.into(), blocks: Vec::new() });
    }

    fn push(&mut self, block: Block) {
        if let Some(section) = self.sections.last_mut() {
            section.blocks.push(block);
        }
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: &str) {
        self.push(Block::Wide(html! { p { (text) } }));
    }

    /// Adds a table, whose first cell of each row names it. It scrolls by itself where it is wider than the page.
    ///
    /// # Errors
    /// `E0202` for a row that is not as long as the header.
    pub fn table(&mut self, header: &[String], rows: &[Vec<Cell>], caption: &str) -> Result<()> {
        self.push(Block::Wide(table(header, rows, caption)?));
        Ok(())
    }

    /// The same, folded away behind `summary`.
    ///
    /// # Errors
    /// As [`Page::table`].
    pub fn folded_table(&mut self, summary: &str, header: &[String], rows: &[Vec<Cell>]) -> Result<()> {
        let table = table(header, rows, summary)?;
        self.push(Block::Wide(html! { details { summary { (summary) } (table) } }));
        Ok(())
    }

    /// Adds rows of pictures below each other, whose columns stay in line.
    pub fn strips(&mut self, strips: &[Strip], caption: &str) {
        self.push(Block::Wide(html! {
            div.strips {
                @if !caption.is_empty() { p { (caption) } }
                @for s in strips {
                    figure {
                        figcaption { b { (s.label) } @if !s.note.is_empty() { (s.note) } }
                        (image(&s.picture, &s.alt, WIDE))
                    }
                }
            }
        }));
    }

    /// Adds a picture with its title and a note.
    pub fn picture(&mut self, picture: &Picture, title: &str, note: &str, alt: &str) {
        let alt = if alt.is_empty() { title } else { alt };
        self.push(Block::Card(html! {
            figure { figcaption { b { (title) } (note) } (image(picture, alt, NARROW)) }
        }));
    }

    /// Adds a chart with a legend below it. Values that are not finite are counted there; a chart without any finite value says so.
    ///
    /// # Errors
    /// `E0202` when it cannot be drawn.
    pub fn plot(&mut self, plot: &Plot, series: &[Series]) -> Result<()> {
        let drawable = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite() && (!plot.log_y || p.1 > 0.0);
        let thinned: Vec<(Series, Option<usize>)> = series.iter().map(thinned).collect();
        let drawn: Vec<Series> = thinned.iter().map(|(s, _)| s.clone()).collect();
        let group = thinned.iter().filter_map(|(_, group)| *group).max();
        let body = if series.iter().any(|s| s.points.iter().any(drawable)) {
            let chart = Chart {
                x_label: plot.x_label.clone(),
                y_label: plot.y_label.clone(),
                log_y: plot.log_y,
                width: 440,
                height: 300,
                legend: false,
                text: 1.2,
                ..Chart::default()
            };
            PreEscaped(inline(&chart.curves(&drawn)?, &alt_of(plot, series)))
        } else {
            html! { p.empty { "There is no finite value to draw." } }
        };
        let named = series.iter().any(|s| !s.name.is_empty());
        let note = match group {
            Some(k) if plot.note.is_empty() => format!("smallest and largest of every {k} values"),
            Some(k) => format!("{}; smallest and largest of every {k} values", plot.note),
            None => plot.note.clone(),
        };
        self.push(Block::Card(html! {
            figure.chart {
                figcaption { b { (plot.title) } (note) }
                (body)
                @if named {
                    ul.keys {
                        @for (i, s) in series.iter().enumerate() { (key(i, s, plot.log_y)) }
                    }
                }
            }
        }));
        Ok(())
    }

    /// The page as HTML.
    pub fn html(&self) -> String {
        let titled: Vec<(usize, &str)> = self.sections.iter().enumerate().skip(1).map(|(i, s)| (i, s.title.as_str())).collect();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // Nothing can be fetched, whatever stands in the page.
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(style())) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        @if !self.lead.is_empty() { p { (self.lead) } }
                        @if titled.len() > 2 {
                            nav aria-label="Sections" { ul { @for (i, title) in &titled { li { a href={ "#s" (i) } { (title) } } } } }
                        }
                    }
                    main {
                        @for (i, s) in self.sections.iter().enumerate() {
                            @if s.title.is_empty() { (blocks(&s.blocks)) }
                            @else { section id={ "s" (i) } { h2 { (s.title) } (blocks(&s.blocks)) } }
                        }
                    }
                    footer { "Made by lathe " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        };
        page.into_string()
    }

    /// Writes the page, which appears whole or not at all.
    ///
    /// # Errors
    /// `E0202` for a name that is no `.html`, `E0301` when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        check_name(path)?;
        files::write(path, self.html().as_bytes())
    }
}

/// Refuses what is no page's name, so that a slip does not replace a run's settings.
fn check_name(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|e| e == "html" || e == "htm") {
        return Ok(());
    }
    Err(Error::value("report", format!("`{}`: pages are written as HTML", path.display())).help("use a name that ends in `.html`"))
}

/// The style with the colours of charts, which plotters writes into their elements, led over to the page's.
fn style() -> String {
    let [light, bold] = MESH;
    format!(
        "{}\n.chart [fill=\"{PAPER}\"] {{ fill: var(--card); }}\n.chart [stroke=\"{light}\"], .chart [stroke=\"{bold}\"] {{ stroke: var(--mesh); }}\n\
         .chart [stroke=\"{INK}\"] {{ stroke: var(--ink); }}\n.chart [fill=\"{INK}\"] {{ fill: var(--ink); }}\n",
        include_str!("style.css")
    )
}

/// Cards that follow each other stand beside each other.
fn blocks(blocks: &[Block]) -> Markup {
    let cards = |part: &[Block]| matches!(part.first(), Some(Block::Card(_)));
    let parts = blocks.chunk_by(|a, b| matches!((a, b), (Block::Card(_), Block::Card(_))));
    html! {
        @for part in parts {
            @if cards(part) { div.cards { @for b in part { (inner(b)) } } }
            @else { @for b in part { (inner(b)) } }
        }
    }
}

fn inner(block: &Block) -> &Markup {
    let (Block::Wide(m) | Block::Card(m)) = block;
    m
}

fn table(header: &[String], rows: &[Vec<Cell>], caption: &str) -> Result<Markup> {
    if let Some((i, row)) = rows.iter().enumerate().find(|(_, row)| row.len() != header.len()) {
        return Err(Error::value("table", format!("row {i} has {} cells, the header {}", row.len(), header.len())));
    }
    // A column of numbers stands to the right, with its header and the few words among them.
    let numbers = |column: usize| column > 0 && 2 * rows.iter().filter(|r| r[column].is_number).count() > rows.len();
    let label = if caption.is_empty() { header.first().map_or("table", String::as_str) } else { caption };
    Ok(html! {
        // Reachable by the keyboard, because it scrolls.
        div.box tabindex="0" role="region" aria-label=(label) {
            table {
                @if !caption.is_empty() { caption { span { (caption) } } }
                thead { tr { @for (i, h) in header.iter().enumerate() { th.n[numbers(i)] scope="col" { (h) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (i, cell) in row.iter().enumerate() {
                                @if i == 0 { th scope="row" { (cell.text) @if !cell.note.is_empty() { small { (cell.note) } } } }
                                @else { (cell.html(numbers(i))) }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn image(p: &Picture, alt: &str, room: u32) -> Markup {
    let scale = p.scale(room);
    html! { img src=(p.data_uri()) width=(p.width * scale) height=(p.height * scale) alt=(alt); }
}

/// One entry of a legend.
fn key(i: usize, s: &Series, log_y: bool) -> Markup {
    let (color, is_dashed) = curve_style(i);
    let total = s.points.len();
    let odd = s.points.iter().filter(|p| !p.0.is_finite() || !p.1.is_finite()).count();
    let low = s.points.iter().filter(|p| log_y && p.1.is_finite() && p.1 <= 0.0).count();
    let dash = is_dashed.then_some("5 4");
    html! {
        li {
            svg width="22" height="10" viewBox="0 0 22 10" aria-hidden="true" {
                line x1="0" y1="5" x2="22" y2="5" stroke=(color) stroke-width="3" stroke-dasharray=[dash] {}
            }
            span {
                (s.name)
                @if odd > 0 { small { " (" (odd) " of " (total) " values not finite)" } }
                @if low > 0 { small { " (" (low) " of " (total) " values not positive)" } }
                @if total == 0 { small { " (no values)" } }
            }
        }
    }
}

fn alt_of(plot: &Plot, series: &[Series]) -> String {
    if !plot.alt.is_empty() {
        return plot.alt.clone();
    }
    let names: Vec<&str> = series.iter().map(|s| s.name.as_str()).filter(|n| !n.is_empty()).collect();
    let of = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
    format!("Chart: {}{of}", plot.title)
}

/// A chart's SVG as a part of a page: named for screen readers, as wide as its place.
fn inline(svg: &str, alt: &str) -> String {
    let named = html! { svg role="img" aria-label=(alt) {} }.into_string();
    let head = named.trim_end_matches("></svg>");
    let body = svg.strip_prefix("<svg").unwrap_or(svg).replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    format!("{head}{body}")
}

/// A curve of at most [`POINTS`] points, and the size of the groups whose smallest and largest values they are. Gaps stay.
fn thinned(s: &Series) -> (Series, Option<usize>) {
    if s.points.len() <= POINTS {
        return (s.clone(), None);
    }
    let group = s.points.len().div_ceil(POINTS / 2);
    let mut points = Vec::new();
    for part in s.points.chunks(group) {
        let finite = || part.iter().enumerate().filter(|(_, p)| p.1.is_finite());
        let least = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let most = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let mut kept: Vec<(usize, (f64, f64))> = [least, most].into_iter().flatten().map(|(i, p)| (i, *p)).collect();
        kept.sort_by_key(|(i, _)| *i);
        kept.dedup_by_key(|(i, _)| *i);
        points.extend(kept.into_iter().map(|(_, p)| p));
        if finite().count() < part.len() {
            points.push((part[0].0, f64::NAN));
        }
    }
    (Series { name: s.name.clone(), points }, Some(group))
}
