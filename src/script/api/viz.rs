//! `viz::`, pictures and charts.

use super::drawing::Drawing;
use crate::error::{Error, Result};
use crate::eval::{Chart, GridOptions, Range, Series, grid, pictures, save_png};
use crate::script::lang::value::{FromArg, type_name};
use crate::torch::Tensor;
use crate::{api, options};
use rhai::{Array, Dynamic, Map};
use std::path::Path;

api! {
    namespace "viz";

    /// Pictures as one, row by row, as torchvision's `make_grid`. Floats need a `range`.
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
    fn grid(images: Dynamic;
        layout: GridOptions,
        /// what black and white are in floats: `[-1, 1]`, `[0, 1]` or `"auto"` (least and largest value)
        range: Shades = Shades::Unknown,
    ) -> Tensor { grid(&to_pictures("grid", &images, range)?, layout) }

    /// Writes a picture as PNG, or a batch as a grid; the file appears whole or not at all. Floats
    /// need a `range`.
    ///
    /// # Shapes
    /// - as for `viz::grid`
    /// # Errors
    /// `E0202` for another shape, or floats without a range; `E0301` when the file cannot be written.
    /// # Example
    /// ```rhai
    /// viz::save_png(io::temp_dir() + "/noise.png", torch::rand([3, 16, 16]), #{range: [0, 1]});
    /// ```
    fn save_png[cx](path: String, image: Dynamic;
        layout: GridOptions,
        /// what black and white are in floats: `[-1, 1]`, `[0, 1]` or `"auto"` (least and largest value)
        range: Shades = Shades::Unknown,
    ) -> () {
        cx.writable(&path)?;
        save_png(Path::new(&path), &one_picture("save_png", &image, range, layout)?)
    }

    /// Draws curves with axes, ticks and a legend as an SVG file. `series` is a map from names to curves, or one curve: an array or vector of
    /// numbers, or `#{x: [..], y: [..]}`. Values that are not finite leave gaps.
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
    fn plot[cx](path: String, series: Dynamic;
        chart: Chart,
        /// weight of the past in a running mean
        smooth: f64[0.0..1.0] = 0.0,
    ) -> () {
        cx.writable(&path)?;
        let mut series = curves(&series)?;
        series.iter_mut().for_each(|s| smoothed(s, smooth));
        Drawing(chart.curves(&series)?.into()).write("plot", &path)
    }

    /// The same as a value: `show` shows it, as a notebook does by itself, and `.write(path)` makes a file of it.
    ///
    /// # Shapes
    /// - vectors `[N]`
    /// # Errors
    /// `E0202` when there is nothing to draw.
    /// # Example
    /// ```rhai
    /// let loss = viz::chart(#{vae: [3.0, 2.0, 1.5]}, #{title: "loss", x: "step"});
    /// loss.write(io::temp_dir() + "/loss.svg");
    /// ```
    fn chart(curves: Dynamic;
        chart: Chart,
        /// weight of the past in a running mean
        smooth: f64[0.0..1.0] = 0.0,
    ) -> Drawing {
        let mut series = self::curves(&curves)?;
        series.iter_mut().for_each(|s| smoothed(s, smooth));
        Ok(Drawing(chart.curves(&series)?.into()))
    }

    /// Draws how values are distributed as an SVG file; `values` is a tensor or array, or a map from names to several, which share their bins.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0202` when there is nothing to draw or the file is no `.svg`; `E0301` when it cannot be written.
    /// # Example
    /// ```rhai
    /// viz::hist(io::temp_dir() + "/z.svg", #{z: torch::randn([4, 16])}, #{bins: 20, title: "latents"});
    /// ```
    fn hist[cx](path: String, values: Dynamic;
        chart: Chart,
        /// how many bars
        bins: usize[1..=10_000] = 50,
        /// `[low, high]`; all values unless given
        range: Option<Range>,
    ) -> () {
        cx.writable(&path)?;
        histogram(&values, &chart, bins, range)?.write("hist", &path)
    }

    /// The same as a value, for `show` and for notebooks.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0202` when there is nothing to draw.
    /// # Example
    /// ```rhai
    /// show(viz::bars(torch::randn([4, 16]), #{bins: 20}), #{dir: io::temp_dir()});
    /// ```
    fn bars(values: Dynamic;
        chart: Chart,
        /// how many bars
        bins: usize[1..=10_000] = 50,
        /// `[low, high]`; all values unless given
        range: Option<Range>,
    ) -> Drawing { histogram(&values, &chart, bins, range) }
}

/// The option `range`.
#[derive(Clone, Copy)]
pub(crate) enum Shades {
    Unknown,
    Auto,
    Given(Range),
}

impl FromArg for Shades {
    const NAME: &'static str = "[black, white] or \"auto\"";
    const CHOICES: &'static [&'static str] = &["auto"];
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if String::from_dynamic(d).is_some_and(|s| s == "auto") { Some(Shades::Auto) } else { Range::from_dynamic(d).map(Shades::Given) }
    }
    fn explain(d: &Dynamic) -> Option<Error> {
        Range::explain(d)
    }
    fn text(&self) -> Option<String> {
        matches!(self, Shades::Auto).then(|| "\"auto\"".to_owned())
    }
}

impl FromArg for Range {
    const NAME: &'static str = "[black, white]";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let (low, high) = <(f64, f64)>::from_dynamic(d)?;
        Range::new(low, high).ok()
    }
    fn explain(d: &Dynamic) -> Option<Error> {
        let (low, high) = <(f64, f64)>::from_dynamic(d)?;
        Range::new(low, high).err()
    }
}

options! {
    GridOptions {
        /// pictures in a row
        nrow,
        /// pixels around each
        pad,
        /// their grey
        pad_value,
    }
    Chart {
        /// above it
        title,
        /// text of the horizontal axis
        x_label as "x",
        /// text of the vertical axis
        y_label as "y",
        /// in pixels
        width: [160..=20_000],
        /// in pixels
        height: [160..=20_000],
        /// whether the vertical axis is logarithmic
        log_y,
    }
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
fn smoothed(s: &mut Series, keep: f64) {
    let (mut sum, mut weight) = (0.0, 0.0);
    for (_, y) in s.points.iter_mut().filter(|(_, y)| y.is_finite()) {
        (sum, weight) = (keep * sum + (1.0 - keep) * *y, keep * weight + (1.0 - keep));
        *y = sum / weight;
    }
}

fn histogram(values: &Dynamic, chart: &Chart, bins: usize, range: Option<Range>) -> Result<Drawing> {
    let sets: Vec<(String, Tensor)> = curves(values)?.into_iter().map(|s| Ok((s.name, column(&s.points)?))).collect::<Result<_>>()?;
    let limits = range.map_or_else(|| Range::of(&Tensor::cat(&sets.iter().map(|(_, t)| t).collect::<Vec<_>>(), 0)?), Ok)?;
    let counts = sets.into_iter().map(|(name, t)| Ok((name, t.histogram(bins, limits.low(), limits.high())?))).collect::<Result<Vec<_>>>()?;
    Ok(Drawing(chart.histogram(&counts, limits.low(), limits.high())?.into()))
}
