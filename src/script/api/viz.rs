//! `viz::`, pictures and charts as files, and `show`.

use crate::api;
use crate::error::{Error, Result};
use crate::eval::{Chart, GridOptions, Range, Series, grid, pictures, save_png};
use crate::files;
use crate::script::Cx;
use crate::script::lang::value::{FromArg, Kw, type_name};
use crate::torch::Tensor;
use rhai::{Array, Dynamic, Map};
use std::path::{Path, PathBuf};

api! {
    namespace "viz";

    /// Pictures as one, row by row, as torchvision's `make_grid`. Options: `nrow` (8) pictures in a row, `pad` (2) pixels around each, `pad_value`
    /// (255) their grey; `range`: what black and white are in floats, `[-1, 1]`, `[0, 1]` or `"auto"` (least and largest value); needed for floats.
    ///
    /// # Shapes
    /// - `[B, C, H, W]`, `[C, H, W]`, `[H, W]` with 1 or 3 channels, u8, bool or float; or an array of such of one size -> u8 `[3, H', W']`
    /// # Errors
    /// `E0202` for another shape, or floats without a range.
    /// # Example
    /// ```rhai
    /// let x = torch::rand([6, 3, 8, 8]);
    /// assert_eq(viz::grid(x, #{nrow: 3, pad: 1, range: [0, 1]}).shape, [3, 19, 28]);
    /// ```
    fn grid(images: Dynamic, opts: Kw) -> Tensor {
        let mut opts = opts;
        let options = grid_options(&mut opts)?;
        let range = range(&mut opts)?;
        opts.done()?;
        grid(&to_pictures("grid", &images, range)?, options)
    }

    /// Writes a picture as PNG, or a batch as a grid; the file appears whole or not at all. Options: `nrow` (8), `pad` (2), `pad_value` (255) of
    /// the grid; `range`: what black and white are in floats, `[-1, 1]`, `[0, 1]` or `"auto"` (least and largest value); needed for floats.
    ///
    /// # Shapes
    /// - as for `viz::grid`
    /// # Errors
    /// `E0202` for another shape, or floats without a range; `E0301` when the file cannot be written.
    /// # Example
    /// ```rhai
    /// viz::save_png(io::temp_dir() + "/noise.png", torch::rand([3, 16, 16]), #{range: [0, 1]});
    /// ```
    fn save_png[cx](path: String, image: Dynamic, opts: Kw) -> () {
        cx.writable(&path)?;
        let mut opts = opts;
        let options = grid_options(&mut opts)?;
        let range = range(&mut opts)?;
        opts.done()?;
        save_png(Path::new(&path), &one_picture("save_png", &image, range, options)?)
    }

    /// Draws curves with axes, ticks and a legend as an SVG file. `series` is a map from names to curves, or one curve: an array or vector of
    /// numbers, or `#{x: [..], y: [..]}`. Options: `title`, `x` and `y` (texts of the axes), `log_y` (false), `smooth` (0 to 1: weight of the past
    /// in a running mean), `width` (900), `height` (520). Values that are not finite leave gaps.
    ///
    /// # Shapes
    /// - vectors `[N]`
    /// # Errors
    /// `E0202` when there is nothing to draw or the file is no `.svg`; `E0301` when it cannot be written.
    /// # Example
    /// ```rhai
    /// let file = io::temp_dir() + "/loss.svg";
    /// viz::plot(file, #{vae: [3.0, 2.0, 1.5], ldm: #{x: [0, 100], y: [1.0, 0.8]}}, #{title: "loss", x: "step"});
    /// ```
    fn plot[cx](path: String, series: Dynamic, opts: Kw) -> () {
        cx.writable(&path)?;
        let mut opts = opts;
        let chart = chart(&mut opts)?;
        let smooth = opts.get("smooth", 0.0)?;
        opts.done()?;
        let mut series = curves(&series)?;
        series.iter_mut().try_for_each(|s| smoothed(s, smooth))?;
        write_svg("plot", &path, &chart.curves(&series)?)
    }

    /// Draws how values are distributed as an SVG file; `values` is a tensor or array, or a map from names to several, which share their bins.
    /// Options: `bins` (50), `range` (`[low, high]`, all values unless given), `title`, `x`, `y`, `width` (900), `height` (520).
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0202` when there is nothing to draw or the file is no `.svg`; `E0301` when it cannot be written.
    /// # Example
    /// ```rhai
    /// viz::hist(io::temp_dir() + "/z.svg", #{z: torch::randn([4, 16])}, #{bins: 20, title: "latents"});
    /// ```
    fn hist[cx](path: String, values: Dynamic, opts: Kw) -> () {
        cx.writable(&path)?;
        let mut opts = opts;
        let chart = chart(&mut opts)?;
        let bins: i64 = opts.get("bins", 50)?;
        let limits: Option<Vec<f64>> = opts.opt("range")?;
        opts.done()?;
        let bins = usize::try_from(bins).ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| Error::value("hist", "`bins` must be 1 to 10000"))?;
        let sets: Vec<(String, Tensor)> = curves(&values)?.into_iter().map(|s| Ok((s.name, column(&s.points)?))).collect::<Result<_>>()?;
        let limits = match limits.as_deref() {
            None => Range::of(&Tensor::cat(&sets.iter().map(|(_, t)| t).collect::<Vec<_>>(), 0)?)?,
            Some([low, high]) => Range::new(*low, *high)?,
            Some(_) => return Err(Error::value("hist", "`range` must be `[low, high]`")),
        };
        let counts = sets.into_iter().map(|(name, t)| Ok((name, t.histogram(bins, limits.low(), limits.high())?))).collect::<Result<Vec<_>>>()?;
        write_svg("hist", &path, &chart.histogram(&counts, limits.low(), limits.high())?)
    }
}

api! {
    fn global_functions;
    global;

    /// Saves a picture or a batch as PNG, in `samples/` of the open run or else in the current folder, shows it in the terminal, and tells where. Options: `dir`, another
    /// folder; the others as for `viz::save_png`; floats are stretched from their least to their largest value unless `range` is given.
    ///
    /// # Shapes
    /// - as for `viz::grid`
    /// # Errors
    /// `E0202` for another shape; `E0301` when the file cannot be written.
    /// # Example
    /// ```rhai
    /// let x = torch::rand([4, 3, 8, 8]);
    /// show(x, #{dir: io::temp_dir()});
    /// ```
    fn show[cx](image: Dynamic, opts: Kw) -> () {
        let mut opts = opts;
        let options = grid_options(&mut opts)?;
        let mut given = range(&mut opts)?;
        let folder: Option<String> = opts.opt("dir")?;
        opts.done()?;
        if matches!(given, Shades::Unknown) {
            given = Shades::Auto;
        }
        let path = free_path(cx, folder)?;
        save_png(&path, &one_picture("show", &image, given, options)?)?;
        if !crate::script::prompt::evaluation::capture_picture(&path) {
            crate::progress::picture(&path);
            crate::progress::line(&path.display().to_string());
        }
        Ok(())
    }
}

/// The option `range`.
#[derive(Clone, Copy)]
pub(crate) enum Shades {
    Unknown,
    Auto,
    Given(Range),
}

pub(crate) fn range(opts: &mut Kw) -> Result<Shades> {
    let Some(given) = opts.opt::<Dynamic>("range")? else { return Ok(Shades::Unknown) };
    if String::from_dynamic(&given).is_some_and(|s| s == "auto") {
        return Ok(Shades::Auto);
    }
    match Vec::<f64>::from_dynamic(&given).as_deref() {
        Some([low, high]) => Ok(Shades::Given(Range::new(*low, *high)?)),
        _ => Err(Error::value("range", format!("must be `[black, white]` or \"auto\", got {given}"))),
    }
}

pub(crate) fn grid_options(opts: &mut Kw) -> Result<GridOptions> {
    let d = GridOptions::default();
    let grey = opts.get("pad_value", i64::from(d.pad_value))?;
    let pad_value = u8::try_from(grey).map_err(|_| Error::value("grid", format!("`pad_value` must be 0 to 255, got {grey}")))?;
    Ok(GridOptions { nrow: opts.get("nrow", d.nrow)?, pad: opts.get("pad", d.pad)?, pad_value })
}

/// A tensor or an array of tensors of one size as u8 `[B, 3, H, W]`.
pub(crate) fn to_pictures(op: &str, images: &Dynamic, shades: Shades) -> Result<Tensor> {
    let x = match (Tensor::from_dynamic(images), Vec::<Tensor>::from_dynamic(images)) {
        (Some(x), _) => x,
        (None, Some(list)) if !list.is_empty() => Tensor::stack(&list, 0)?,
        _ => return Err(Error::value(op, format!("a tensor or an array of tensors is needed, got {}", type_name(images)))),
    };
    let range = match shades {
        Shades::Given(r) => Some(r),
        Shades::Auto if x.is_float() => Some(Range::of(&x)?),
        Shades::Auto | Shades::Unknown => None,
    };
    pictures(op, &x, range)
}

/// A single picture as it is, several as a grid.
pub(crate) fn one_picture(op: &str, image: &Dynamic, shades: Shades, options: GridOptions) -> Result<Tensor> {
    let x = to_pictures(op, image, shades)?;
    if x.size(0)? == 1 { x.select(0, 0) } else { grid(&x, options) }
}

fn chart(opts: &mut Kw) -> Result<Chart> {
    let d = Chart::default();
    let side = |n: i64| {
        let fits = u32::try_from(n).ok().filter(|n| (160..=20_000).contains(n));
        fits.ok_or_else(|| Error::value("plot", format!("`width` and `height` must be 160 to 20000 pixels, got {n}")))
    };
    Ok(Chart {
        title: opts.get("title", d.title)?,
        x_label: opts.get("x", d.x_label)?,
        y_label: opts.get("y", d.y_label)?,
        size: (side(opts.get("width", i64::from(d.size.0))?)?, side(opts.get("height", i64::from(d.size.1))?)?),
        log_y: opts.get("log_y", d.log_y)?,
        ..d
    })
}

/// One curve, or several by name.
pub(crate) fn curves(d: &Dynamic) -> Result<Vec<Series>> {
    match Map::from_dynamic(d) {
        Some(map) if !is_curve(&map) => map.iter().map(|(name, d)| Ok(Series { name: name.to_string(), points: points(d)? })).collect(),
        _ => Ok(vec![Series { name: String::new(), points: points(d)? }]),
    }
}

fn is_curve(map: &Map) -> bool {
    map.len() == 2 && map.contains_key("x") && map.contains_key("y")
}

fn points(d: &Dynamic) -> Result<Vec<(f64, f64)>> {
    let Some(map) = Map::from_dynamic(d) else {
        return Ok(numbers(d)?.into_iter().enumerate().map(|(i, y)| (i as f64, y)).collect());
    };
    let (Some(x), Some(y)) = (map.get("x"), map.get("y")) else {
        return Err(Error::value("plot", "a curve is an array or vector of numbers, or `#{x: [..], y: [..]}`"));
    };
    let (x, y) = (numbers(x)?, numbers(y)?);
    if x.len() != y.len() {
        return Err(Error::value("plot", format!("`x` has {} values and `y` has {}", x.len(), y.len())));
    }
    Ok(x.into_iter().zip(y).collect())
}

/// Numbers, tensors of one element (as losses are logged) and `()`, which leaves a gap.
pub(crate) fn numbers(d: &Dynamic) -> Result<Vec<f64>> {
    if let Some(t) = Tensor::from_dynamic(d) {
        return t.to_vec_f64();
    }
    let wrong = |d: &Dynamic| Error::value("plot", format!("numbers are needed, got {}", type_name(d)));
    let list = Array::from_dynamic(d).ok_or_else(|| wrong(d))?;
    let one = |d: &Dynamic| match (f64::from_dynamic(d), Tensor::from_dynamic(d)) {
        (Some(v), _) => Ok(v),
        (None, Some(t)) => t.item(),
        (None, None) if d.is_unit() => Ok(f64::NAN),
        (None, None) => Err(wrong(d)),
    };
    list.iter().map(one).collect()
}

fn column(points: &[(f64, f64)]) -> Result<Tensor> {
    Tensor::from_slice(&points.iter().map(|p| p.1).collect::<Vec<_>>())
}

/// Running mean in which the past has the weight `keep`, without the bias of the first values.
fn smoothed(s: &mut Series, keep: f64) -> Result<()> {
    if !(0.0..1.0).contains(&keep) {
        return Err(Error::value("plot", format!("`smooth` must be at least 0 and below 1, got {keep}")));
    }
    let (mut sum, mut weight) = (0.0, 0.0);
    for (_, y) in s.points.iter_mut().filter(|(_, y)| y.is_finite()) {
        (sum, weight) = (keep * sum + (1.0 - keep) * *y, keep * weight + (1.0 - keep));
        *y = sum / weight;
    }
    Ok(())
}

fn write_svg(op: &str, path: &str, svg: &str) -> Result<()> {
    let path = Path::new(path);
    if path.extension().is_none_or(|e| e != "svg") {
        return Err(
            Error::value(op, format!("`{}`: charts are written as SVG", path.display())).help("use a name that ends in `.svg`; browsers show it")
        );
    }
    files::write(path, svg.as_bytes())
}

/// Where `show` puts pictures, among the host's values: the folder of the open run. Without it, the current folder.
pub struct ShowFolder(pub PathBuf);

/// A name that is not taken: `show-0001.png` and so on.
fn free_path(cx: &Cx, folder: Option<String>) -> Result<PathBuf> {
    // Without a folder the program chooses the place, and a name that is free.
    folder.as_ref().map_or(Ok(()), |folder| cx.writable(folder))?;
    let folder = folder.map(PathBuf::from).or_else(|| cx.host().get::<ShowFolder>().map(|f| f.0.clone())).unwrap_or_default();
    if !folder.as_os_str().is_empty() {
        files::create_dir(&folder)?;
    }
    let mut names = (1..100_000).map(|i| folder.join(format!("show-{i:04}.png")));
    names.find(|p| !p.exists()).ok_or_else(|| Error::value("show", "too many pictures; remove some `show-*.png`"))
}
