//! Curves and histograms as SVG: text stays text, so it is sharp at any size and needs no fonts here.

use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// A named curve.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Points `(x, y)` in order; gaps where a coordinate is not finite.
    pub points: Vec<(f64, f64)>,
}

/// What is drawn around the data, and how large.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Above the chart.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Whether the vertical axis is logarithmic; values that are not positive are left out.
    pub log_y: bool,
    /// Whether the names of the curves stand in the chart.
    pub legend: bool,
    /// How much larger than usual its texts are: for charts that are shown small.
    pub text: f64,
}

/// Numbers beyond it are not drawn, as infinities are not: an axis to them has no ticks.
const FAR: f64 = 1e150;

impl Default for Chart {
    fn default() -> Self {
        Chart { title: String::new(), x_label: String::new(), y_label: String::new(), width: 900, height: 520, log_y: false, legend: true, text: 1.0 }
    }
}

/// Colours that colour-blind people can tell apart (Okabe and Ito 2008), without the yellow that white swallows.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// What a chart is drawn on and with, as its SVG says it: a page with a dark side gives these other colours.
pub const PAPER: &str = "#FFFFFF";
/// Texts, axes, and the last curve's colour.
pub const INK: &str = "#000000";
/// Lines of the mesh: light, and at ticks.
pub const MESH: [&str; 2] = ["#F4F4F4", "#DEDEDE"];

/// The colour of curve `i` as SVG says it, and whether it is dashed: colours repeat after seven curves, and are dashed then.
pub fn curve_style(i: usize) -> (String, bool) {
    let RGBColor(r, g, b) = COLORS[i % COLORS.len()];
    (format!("#{r:02X}{g:02X}{b:02X}"), i / COLORS.len() % 2 == 1)
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Chart {
    /// Curves with axes, ticks and a legend: the SVG text.
    ///
    /// # Errors
    /// `E0202` when there is no point to draw.
    pub fn curves(&self, series: &[Series]) -> Result<String> {
        let points: Vec<(f64, f64)> = series.iter().flat_map(|s| s.points.iter().filter(|p| self.shows(p))).copied().collect();
        if points.is_empty() {
            return Err(Error::value("plot", "there is nothing to draw: no series has a value that can be drawn"));
        }
        let xs = span(points.iter().map(|p| p.0), 0.0);
        self.draw(|area| {
            if self.log_y {
                let (low, high) = span(points.iter().map(|p| p.1.log10()), 0.05);
                self.lines(area, xs, (10f64.powf(low)..10f64.powf(high)).log_scale(), series)
            } else {
                let (low, high) = span(points.iter().map(|p| p.1), 0.05);
                self.lines(area, xs, low..high, series)
            }
        })
    }

    /// Whether a point has a place; a curve has a gap where one has none.
    fn shows(&self, p: &(f64, f64)) -> bool {
        p.0.abs() < FAR && p.1.abs() < FAR && (!self.log_y || p.1 > 0.0)
    }

    fn lines<Y>(&self, area: &Canvas, xs: (f64, f64), y: Y, series: &[Series]) -> Result<(), String>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let mut chart = self.frame(area).build_cartesian_2d(xs.0..xs.1, y).map_err(text)?;
        self.mesh(&mut chart)?;
        for (i, s) in series.iter().enumerate() {
            let (color, dashed) = (COLORS[i % COLORS.len()], curve_style(i).1);
            // The first part carries the legend, so that a curve with gaps is named once.
            for (part, run) in s.points.split(|p| !self.shows(p)).filter(|run| !run.is_empty()).enumerate() {
                let drawn = if run.len() == 1 {
                    chart.draw_series([Circle::new(run[0], 3, color.filled())]).map_err(text)?
                } else if dashed {
                    chart.draw_series(DashedLineSeries::new(run.iter().copied(), 7, 5, color.stroke_width(2))).map_err(text)?
                } else {
                    chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2))).map_err(text)?
                };
                if part == 0 && !s.name.is_empty() {
                    drawn.label(s.name.as_str()).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
                }
            }
        }
        self.names(&mut chart, series)
    }

    /// Bars of several counts over the same bins `[low, high]`: the SVG text.
    ///
    /// # Errors
    /// `E0202` when there are no bins.
    pub fn histogram(&self, counts: &[(String, Vec<u64>)], low: f64, high: f64) -> Result<String> {
        let bins = counts.iter().map(|(_, c)| c.len()).max().unwrap_or(0);
        if bins == 0 || low.partial_cmp(&high) != Some(std::cmp::Ordering::Less) || low.abs().max(high.abs()) >= FAR {
            return Err(Error::value("hist", "there is nothing to draw"));
        }
        let top = counts.iter().flat_map(|(_, c)| c).max().copied().unwrap_or(0).max(1) as f64;
        let width = (high - low) / bins as f64;
        self.draw(|area| {
            let mut chart = self.frame(area).build_cartesian_2d(low..high, 0.0..top * 1.05).map_err(text)?;
            self.mesh(&mut chart)?;
            for (i, (name, counts)) in counts.iter().enumerate() {
                let color = COLORS[i % COLORS.len()];
                let bar = |(k, &n): (usize, &u64)| {
                    let left = low + k as f64 * width;
                    Rectangle::new([(left, 0.0), (left + width, n as f64)], color.mix(0.55).filled())
                };
                let drawn = chart.draw_series(counts.iter().enumerate().map(bar)).map_err(text)?;
                if !name.is_empty() {
                    drawn.label(name.as_str()).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], color.mix(0.55).filled()));
                }
            }
            let named: Vec<Series> = counts.iter().map(|(name, _)| Series { name: name.clone(), points: Vec::new() }).collect();
            self.names(&mut chart, &named)
        })
    }

    fn draw(&self, draw: impl FnOnce(&Canvas) -> Result<(), String>) -> Result<String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (self.width, self.height)).into_drawing_area();
            let all = area.fill(&WHITE).map_err(text).and_then(|()| draw(&area)).and_then(|()| area.present().map_err(text));
            all.map_err(|e| Error::value("plot", e))?;
        }
        Ok(svg)
    }

    fn frame<'a, 'b>(&self, area: &'a Canvas<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
        let mut builder = ChartBuilder::on(area);
        let small = self.is_small();
        let bottom = if self.x_label.is_empty() { 32.0 } else { 48.0 };
        // The last label of the axis stands half beyond it.
        builder.margin(if small { 8 } else { 16 }).margin_right(if small { 22 } else { 16 }).x_label_area_size((bottom * self.text) as u32);
        builder.y_label_area_size(if self.y_label.is_empty() { 64 } else { 80 });
        if !self.title.is_empty() {
            builder.caption(&self.title, self.font(20.0));
        }
        builder
    }

    fn font(&self, size: f64) -> (&'static str, f64) {
        ("sans-serif", size * self.text)
    }

    /// Fewer ticks fit then.
    fn is_small(&self) -> bool {
        self.width < 600
    }

    fn mesh<'b, X, Y>(&self, chart: &mut ChartContext<'_, SVGBackend<'b>, Cartesian2d<X, Y>>) -> Result<(), String>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.x_label.as_str()).y_desc(self.y_label.as_str()).label_style(self.font(14.0)).axis_desc_style(self.font(15.0));
        let ticks = if self.is_small() { 5 } else { 8 };
        if self.is_small() {
            mesh.max_light_lines(1);
        }
        mesh.x_label_formatter(&number).y_label_formatter(&number).x_labels(ticks).y_labels(ticks);
        mesh.light_line_style(RGBColor(244, 244, 244)).bold_line_style(RGBColor(222, 222, 222));
        mesh.draw().map_err(text)
    }

    fn names<'a, X: Ranged<ValueType = f64>, Y: Ranged<ValueType = f64>>(
        &self,
        chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
        series: &[Series],
    ) -> Result<(), String> {
        if !self.legend || series.iter().all(|s| s.name.is_empty()) {
            return Ok(());
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight).margin(8).label_font(self.font(14.0));
        labels.background_style(WHITE.mix(0.85)).border_style(RGBColor(200, 200, 200)).draw().map_err(text)
    }
}

/// Smallest and largest value, a share of their distance added on both sides; never empty.
fn span(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let extra = (high - low) * margin;
    // Values that are equal, or so near that axis ticks would coincide.
    let least = low.abs().max(high.abs()).max(1e-12) * 1e-6;
    if high - low > least { (low - extra, high + extra) } else { (low - least.max(0.5 * low.abs()), high + least.max(0.5 * high.abs())) }
}

/// Ticks: as many digits as tell, exponents only where they shorten.
fn number(v: &f64) -> String {
    let a = v.abs();
    if a != 0.0 && !(1e-4..1e6).contains(&a) {
        return format!("{v:.2e}");
    }
    let rounded = format!("{v:.6}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.to_owned() }
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, f: impl Fn(f64) -> f64) -> Series {
        Series { name: name.into(), points: (0..50).map(|i| (f64::from(i), f(f64::from(i)))).collect() }
    }

    #[test]
    fn curves_have_title_axes_ticks_and_legend() {
        let chart = Chart { title: "loss".into(), x_label: "step".into(), y_label: "value".into(), ..Chart::default() };
        let svg = chart.curves(&[curve("vae", |x| 1.0 / (1.0 + x)), curve("ldm", |x| (x * 0.3).sin())]).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for word in ["loss", "step", "value", "vae", "ldm"] {
            assert!(svg.lines().any(|l| l.trim() == word), "{word} is missing");
        }
        assert!(svg.lines().any(|l| l.trim() == "0.5") && svg.lines().any(|l| l.trim() == "40"), "no ticks");
        assert!(svg.matches("<polyline").count() >= 2);
    }

    #[test]
    fn the_colours_are_those_that_pages_restyle() {
        let chart = Chart { title: "t".into(), legend: false, ..Chart::default() };
        let many: Vec<Series> = (0..9).map(|i| curve(&format!("run {i}"), |x| x * f64::from(i))).collect();
        let svg = chart.curves(&many).unwrap();
        for attribute in [format!("fill=\"{PAPER}\""), format!("stroke=\"{}\"", MESH[1]), format!("stroke=\"{INK}\""), format!("fill=\"{INK}\"")] {
            assert!(svg.contains(&attribute), "{attribute} is missing");
        }
        assert!(!svg.contains("run 3"), "no legend was wanted");
        assert_eq!((curve_style(6), curve_style(7)), ((INK.to_owned(), false), (curve_style(0).0, true)));
        let lines = |color: &str| svg.matches(&format!("stroke=\"{color}\"")).count();
        assert_eq!(lines(&curve_style(3).0), 1, "one line");
        assert!(lines(&curve_style(0).0) > 5, "the eighth has the first one's colour, in dashes");
    }

    #[test]
    fn odd_data_is_drawn_or_refused() {
        let chart = Chart::default();
        assert!(chart.curves(&[]).is_err());
        assert!(chart.curves(&[curve("a", |_| f64::NAN)]).is_err());
        assert!(chart.curves(&[curve("flat", |_| 0.0)]).is_ok());
        assert!(chart.curves(&[curve("flat", |_| 3.0)]).is_ok());
        assert!(chart.curves(&[curve("huge", |x| x * 1e300)]).is_ok());
        assert!(chart.curves(&[curve("gap", |x| if x == 20.0 { f64::INFINITY } else { x })]).is_ok());
        assert!(chart.curves(&[Series { name: "<a> & b".into(), points: vec![(1.0, 1.0)] }]).unwrap().contains("&lt;a&gt; &amp; b"));
        let log = Chart { log_y: true, ..Chart::default() };
        assert!(log.curves(&[curve("exp", |x| (-x).exp())]).is_ok());
        assert!(log.curves(&[curve("negative", |_| -1.0)]).is_err());
        assert!(chart.histogram(&[("z".into(), vec![1, 5, 2])], -1.0, 1.0).unwrap().contains("<rect"));
        assert!(chart.histogram(&[], -1.0, 1.0).is_err() && chart.histogram(&[("z".into(), vec![1])], 1.0, 1.0).is_err());
    }
}
