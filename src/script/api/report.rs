//! `report::`, pages for people.

use super::viz::{Shades, curves, numbers, one_picture};
use crate::error::{Error, Result};
use crate::eval::report::{Cell, Picture, Plot, Strip, names, shown};
use crate::eval::{GridOptions, Series, report};
use crate::script::Cx;
use crate::script::lang::value::{FromArg, type_name};
use crate::script_handle;
use crate::torch::Tensor;
use crate::{api, entries};
use rhai::{Array, Dynamic, Map};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A page as scripts hold it.
#[derive(Clone)]
pub struct Page(Rc<RefCell<report::Page>>);
script_handle!(Page, "a page");

impl Page {
    /// Writes it as a file, which appears whole or not at all.
    ///
    /// # Errors
    /// `E0202` for a name that does not end in `.html`, `E0301` when it cannot be written.
    pub(super) fn write_to(&self, path: &Path) -> Result<()> {
        self.0.borrow().write(path)
    }
}

/// A value as it stands in a cell: `()` is a dash, `#{value, note, strong}` says more.
fn cell(d: &Dynamic) -> Result<Cell> {
    if let Some(map) = Map::from_dynamic(d) {
        entries!(all "table", map; value: Option<Dynamic>, note: String = String::new(), strong: bool = false);
        return Ok(value.map_or_else(|| Ok(Cell::none()), |v| cell(&v))?.note(note).strong(strong));
    }
    if d.is_unit() {
        return Ok(Cell::none());
    }
    if let Some(t) = Tensor::from_dynamic(d) {
        return Ok(Cell::number(t.item()?));
    }
    if let Some(x) = f64::from_dynamic(d) {
        return Ok(Cell::number(x));
    }
    if d.is_string() || d.is_bool() || d.is_char() {
        return Ok(Cell::text(d.to_string()));
    }
    Err(Error::value("table", format!("a cell is a text, a number, () or #{{value, note, strong}}, got {}", type_name(d))))
}

fn texts(header: &Array) -> Result<Vec<String>> {
    let one = |d: &Dynamic| String::from_dynamic(d).ok_or_else(|| Error::value("table", format!("the header holds texts, got {}", type_name(d))));
    header.iter().map(one).collect()
}

fn cells(rows: &Array) -> Result<Vec<Vec<Cell>>> {
    let row = |d: &Dynamic| {
        let row = Array::from_dynamic(d).ok_or_else(|| Error::value("table", format!("a row is an array of cells, got {}", type_name(d))))?;
        row.iter().map(cell).collect()
    };
    rows.iter().map(row).collect()
}

/// A tensor, or the path of a picture file.
fn picture(cx: &Cx, op: &str, image: &Dynamic, layout: GridOptions, shades: Shades) -> Result<Picture> {
    let Some(path) = String::from_dynamic(image) else {
        return Picture::of(&one_picture(op, image, shades, layout)?);
    };
    cx.readable(&path)?;
    if !matches!(shades, Shades::Unknown) {
        return Err(Error::value(op, "`range` is for tensors; a picture file says its colours itself"));
    }
    Picture::read(Path::new(&path))
}

/// Curves in the order given: a map has them by name, an array of `#{name, x, y}` in the order of the legend.
fn series(d: &Dynamic) -> Result<Vec<Series>> {
    let Some(list) = Array::from_dynamic(d).filter(|a| !a.is_empty() && a.iter().all(Dynamic::is_map)) else { return curves(d) };
    let one = |d: &Dynamic| {
        entries!(all "chart", Map::from_dynamic(d).unwrap_or_default(); name: String, x: Option<Dynamic>, y: Dynamic);
        let y = numbers(&y)?;
        let x = x.map_or_else(|| Ok((0..y.len()).map(|i| i as f64).collect()), |x| numbers(&x))?;
        if x.len() != y.len() {
            return Err(Error::value("chart", format!("`x` of `{name}` has {} values and `y` {}", x.len(), y.len())));
        }
        Ok(Series { name, points: x.into_iter().zip(y).collect() })
    };
    list.iter().map(one).collect()
}

api! {
    namespace "report";

    /// Begins a page for people: one HTML file with tables, charts as SVG and pictures inside of it, which needs no network and no script, can
    /// be read on a phone, and follows the reader's choice of light or dark. Parts are added from top to bottom; every text is escaped.
    ///
    ///
    /// # Errors
    /// `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let page = report::page("Two VAEs", #{lead: "100 pictures"});
    /// page.section("Figures");
    /// page.table(["", "vae", "sendvae"], [["PSNR", 27.1, #{value: 27.9, strong: true}], ["FD-lite0", (), 0.0/0.0]]);
    /// page.chart([#{name: "vae", y: [3.0, 2.0, 1.5]}, #{name: "sendvae", x: [0, 2], y: [3.0, 1.0]}], #{title: "loss", x: "step"});
    /// page.strips([#{label: "pictures", image: torch::rand([4, 3, 16, 16]), range: [0, 1], alt: "noise"}]);
    /// page.write(io::temp_dir() + "/page.html");
    /// ```
    fn page(title: String;
        /// a sentence below the heading
        lead: String = String::new(),
    ) -> Page {
        Ok(Page(Rc::new(RefCell::new(report::Page::new(title, lead)))))
    }

    /// A name for each path: its last part, or as many of its last parts as set it apart from the others.
    ///
    /// # Errors
    /// `E0202` when two paths are the same place.
    /// # Example
    /// ```rhai
    /// assert_eq(report::names(["exps/vae", "exps/ldm"]), ["vae", "ldm"]);
    /// assert_eq(report::names(["exps/a/vae", "exps/b/vae"]), ["a/vae", "b/vae"]);
    /// ```
    fn path_names as "names"[cx](paths: Vec<String>) -> Vec<String> {
        // Links are followed.
        paths.iter().try_for_each(|path| cx.readable(path))?;
        names(&paths.into_iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    /// A number as the tables show it: 4 significant digits, whole numbers whole, and `NaN`, `∞`, `−∞` by their signs.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq([report::number(0.71234), report::number(3000), report::number(0.0/0.0)], ["0.7123", "3000", "NaN"]);
    /// ```
    fn number(x: f64) -> String { Ok(shown(x)) }
}

api! {
    fn methods;
    methods Page;

    /// Begins a section; with more than two of them the page has a list of them at its top.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let page = report::page("Runs");
    /// page.section("Curves");
    /// assert(page.html().contains("Curves"));
    /// ```
    fn section(page: Page, title: String) -> () {
        page.0.borrow_mut().section(title);
        Ok(())
    }

    /// Adds a paragraph.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let page = report::page("Runs");
    /// page.text("a < b");
    /// assert(page.html().contains("a &lt; b"));
    /// ```
    fn text(page: Page, text: String) -> () {
        page.0.borrow_mut().text(&text);
        Ok(())
    }

    /// Adds a table, which scrolls by itself where it is wider than the page. Cells are texts, numbers, `()` for a dash, or
    /// `#{value, note, strong}`: `note` stands below the value, smaller; the first cell of a row names it. Numbers that are not finite are shown.
    ///
    /// # Errors
    /// `E0202` for a row that is not as long as the header, or a cell that is none of those.
    /// # Example
    /// ```rhai
    /// let page = report::page("Runs");
    /// page.table(["", "a"], [["loss", #{value: 1.5, note: "at step 7"}], ["psnr", 1.0 / 0.0]], #{caption: "last values"});
    /// assert(page.html().contains("at step 7") && page.html().contains("∞"));
    /// ```
    fn table(page: Page, header: Array, rows: Array;
        /// what stands under it
        caption: String = String::new(),
        /// whether it stands behind its caption, to be opened
        folded: bool = false,
    ) -> () {
        let (header, rows) = (texts(&header)?, cells(&rows)?);
        let mut page = page.0.borrow_mut();
        if folded { page.folded_table(if caption.is_empty() { "table" } else { &caption }, &header, &rows) } else { page.table(&header, &rows, &caption) }
    }

    /// Adds a chart of curves with its legend. `series` is what `viz::plot` takes, or an array of `#{name, x, y}` in the order of the legend. Values
    /// that are not finite leave gaps and are counted in the legend; of long curves the smallest and largest value of each group are drawn.
    ///
    /// # Shapes
    /// - vectors `[N]`
    /// # Errors
    /// `E0202` for series that are none.
    /// # Example
    /// ```rhai
    /// let page = report::page("Runs");
    /// page.chart(#{vae: [3.0, 0.0 / 0.0, 1.5]}, #{title: "loss"});
    /// assert(page.html().contains("1 of 3 values not finite"));
    /// ```
    fn chart(page: Page, curves: Dynamic;
        /// above it
        title: String = String::new(),
        /// a line under it
        note: String = String::new(),
        /// what those who do not see it read; the title unless given
        alt: String = String::new(),
        /// text of the horizontal axis
        x: String = String::new(),
        /// text of the vertical axis
        y: String = String::new(),
        /// whether the vertical axis is logarithmic
        log_y: bool = false,
    ) -> () {
        let plot = Plot { title, note, alt, x_label: x, y_label: y, log_y };
        page.0.borrow_mut().plot(&plot, &series(&curves)?)
    }

    /// Adds a picture: a tensor, or the path of a file.
    ///
    /// # Shapes
    /// - as for `viz::grid`
    /// # Errors
    /// `E0202` for another shape, or floats without a range; `E0301` or `E0302` for a file that is no whole picture.
    /// # Example
    /// ```rhai
    /// let page = report::page("Runs");
    /// page.picture(torch::rand([4, 3, 16, 16]), #{title: "samples", alt: "noise", range: [0, 1], nrow: 2});
    /// assert(page.html().contains("data:image/png;base64,"));
    /// ```
    fn picture[cx](page: Page, image: Dynamic;
        layout: GridOptions,
        /// what black and white are in floats: `[-1, 1]`, `[0, 1]` or `"auto"` (least and largest value)
        range: Shades = Shades::Unknown,
        /// above it
        title: String = String::new(),
        /// a line under it
        note: String = String::new(),
        /// what those who do not see it read; the title unless given
        alt: String = String::new(),
    ) -> () {
        let p = picture(cx, "picture", &image, layout, range)?;
        page.0.borrow_mut().picture(&p, &title, &note, &alt);
        Ok(())
    }

    /// Adds rows of pictures below each other, whose columns stay in line: the pictures, then what each VAE made of them. A row is
    /// `#{label, image, note, alt}`; a batch becomes one row (`nrow` chooses otherwise); floats need a `range`.
    ///
    /// # Shapes
    /// - images as for `viz::grid`
    /// # Errors
    /// `E0202` for a row without label or image, or another shape.
    /// # Example
    /// ```rhai
    /// let page = report::page("VAEs");
    /// let x = torch::rand([4, 3, 16, 16]);
    /// page.strips([#{label: "pictures", image: x, range: [0, 1]}, #{label: "vae", image: x * 0.9, range: [0, 1], note: "27.1 dB"}]);
    /// assert(page.html().contains("27.1 dB"));
    /// ```
    fn strips[cx](page: Page, rows: Array;
        /// what stands under it
        caption: String = String::new(),
    ) -> () {
        let row = |d: &Dynamic| {
            let map = Map::from_dynamic(d).ok_or_else(|| Error::value("strips", format!("a row is #{{label, image, ..}}, got {}", type_name(d))))?;
            entries!(all "strips", map; label: String, image: Dynamic, note: String = String::new(), alt: Option<String>,
                nrow: Option<i64>, pad: Option<i64>, range: Shades = Shades::Unknown);
            let batch = Tensor::from_dynamic(&image).filter(|t| t.rank() == 4).map_or(Ok(8), |t| t.size(0))?;
            let d = GridOptions::default();
            let layout = GridOptions { nrow: nrow.unwrap_or(batch), pad: pad.unwrap_or(d.pad), ..d };
            Ok(Strip { picture: picture(cx, "strips", &image, layout, range)?, note, alt: alt.unwrap_or_else(|| label.clone()), label })
        };
        let strips = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
        page.0.borrow_mut().strips(&strips, &caption);
        Ok(())
    }

    /// The page as text.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(report::page("Runs").html().starts_with("<!DOCTYPE html>"));
    /// ```
    fn html(page: Page) -> String { Ok(page.0.borrow().html()) }

    /// Writes the page as a file, which appears whole or not at all.
    ///
    /// # Errors
    /// `E0202` for a name that does not end in `.html`, `E0301` when it cannot be written.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/page.html";
    /// report::page("Runs").write(path);
    /// assert(io::exists(path));
    /// ```
    fn write[cx](page: Page, path: String) -> () {
        cx.writable(&path)?;
        page.write_to(Path::new(&path))
    }

    /// The page in a word.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(report::page("Runs").to_string(), "a page");
    /// ```
    fn to_string(page: Page) -> String {
        drop(page);
        Ok("a page".into())
    }
}
