//! `show`: pictures, charts and pages for whoever is at the prompt.

use super::drawing::Drawing;
use super::report::Page;
use super::viz::{Shades, one_picture};
use crate::api;
use crate::error::{Error, Result};
use crate::eval::{GridOptions, save_png};
use crate::files;
use crate::script::Cx;
use crate::script::lang::value::FromArg;
use rhai::Dynamic;
use std::path::PathBuf;

api! {
    global;

    /// Saves a picture or a batch as PNG, a chart (`viz::chart`, `viz::bars`) as SVG or a page (`report::page`) as HTML, in `samples/` of the open run
    /// or else in a temporary folder that stays, shows it in the terminal or notebook, and tells where.
    /// Floats are stretched from their least to their largest value unless `range` is given.
    ///
    /// # Shapes
    /// - as for `viz::grid`
    /// # Errors
    /// `E0202` for another shape; `E0301` when the file cannot be written.
    /// # Example
    /// ```rhai
    /// let x = torch::rand([4, 3, 8, 8]);
    /// show(x, #{dir: io::temp_dir()});
    /// show(viz::chart([3.0, 2.0, 1.5]), #{dir: io::temp_dir()});
    /// ```
    fn show[cx](image: Dynamic;
        layout: GridOptions,
        /// what black and white are in floats: `[-1, 1]`, `[0, 1]` or `"auto"` (least and largest value)
        range: Shades = Shades::Auto,
        /// another folder than that of the run
        dir: Option<String>,
    ) -> () {
        let path = if let Some(drawing) = Drawing::from_dynamic(&image) {
            let path = free_path(cx, dir, "svg")?;
            files::write(&path, drawing.0.as_bytes())?;
            path
        } else if let Some(page) = Page::from_dynamic(&image) {
            let path = free_path(cx, dir, "html")?;
            page.write_to(&path)?;
            path
        } else {
            let picture = one_picture("show", &image, range, layout)?;
            let path = free_path(cx, dir, "png")?;
            save_png(&path, &picture)?;
            path
        };
        if !crate::script::prompt::evaluation::capture_picture(&path) {
            crate::progress::picture(&path);
            crate::progress::line(&path.display().to_string());
        }
        Ok(())
    }
}

/// Where `show` puts what it shows, among the host's values: the folder of the open run, or one made for it.
pub struct ShowFolder(pub PathBuf);

/// A name that is not taken: `show-0001.png` and so on.
fn free_path(cx: &Cx, folder: Option<String>, kind: &str) -> Result<PathBuf> {
    // Without a folder the program chooses the place, and a name that is free.
    folder.as_ref().map_or(Ok(()), |folder| cx.writable(folder))?;
    let folder = match folder.map(PathBuf::from).or_else(|| cx.host().get::<ShowFolder>().map(|f| f.0.clone())) {
        Some(folder) => folder,
        None => {
            let made = tempfile::Builder::new().prefix("lathe-show-").tempdir().map_err(|e| Error::io("create", std::env::temp_dir(), e))?;
            cx.host().put(ShowFolder(made.keep())).0.clone()
        }
    };
    files::create_dir(&folder)?;
    let mut names = (1..100_000).map(|i| folder.join(format!("show-{i:04}.{kind}")));
    names.find(|p| !p.exists()).ok_or_else(|| Error::value("show", format!("too many files; remove some `show-*.{kind}`")))
}
