use super::*;
use crate::eval::Series;
use crate::torch::{DType, Device, Tensor};
use std::path::PathBuf;

const NASTY: &str = "<script>alert('x')</script> & \"q\"";

fn picture() -> Picture {
    Picture::of(&Tensor::zeros(&[3, 4, 6], DType::Uint8, Device::Cpu).unwrap()).unwrap()
}

fn curve(name: &str, ys: &[f64]) -> Series {
    Series { name: name.into(), points: ys.iter().enumerate().map(|(i, y)| (i as f64, *y)).collect() }
}

/// Every `attribute="value"` of a page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!(" {attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_text_is_escaped() {
    let mut page = Page::new(NASTY, NASTY);
    for _ in 0..3 {
        page.section(NASTY);
    }
    page.text(NASTY);
    let row = vec![Cell::text(NASTY).note(NASTY), Cell::text(NASTY).strong(true), Cell::number(1.0).note(NASTY)];
    page.table(&[NASTY.into(), NASTY.into(), NASTY.into()], std::slice::from_ref(&row), NASTY).unwrap();
    page.folded_table(NASTY, &[NASTY.into(), "b".into(), "c".into()], &[row]).unwrap();
    page.strips(&[Strip { label: NASTY.into(), note: NASTY.into(), picture: picture(), alt: NASTY.into() }], NASTY);
    page.picture(&picture(), NASTY, NASTY, "");
    let plot = Plot { title: NASTY.into(), note: NASTY.into(), x_label: NASTY.into(), y_label: NASTY.into(), ..Plot::default() };
    page.plot(&plot, &[curve(NASTY, &[1.0, 2.0])]).unwrap();
    let html = page.html();
    assert!(!html.contains("<script") && !html.contains("alert('x')</script>"), "{html}");
    assert!(html.matches("&lt;script&gt;").count() >= 20, "{html}");
    // A quote would end an attribute: what follows would be read as another.
    for alt in values(&html, "alt").into_iter().chain(values(&html, "aria-label")) {
        assert!(alt == "Sections" || alt.ends_with("&quot;q&quot;"), "{alt}");
    }
}

#[test]
fn nothing_is_fetched_and_everything_is_named() {
    let mut page = Page::new("runs", "");
    page.picture(&picture(), "recon", "", "eight avatars");
    page.plot(&Plot { title: "loss".into(), ..Plot::default() }, &[curve("a", &[3.0, 1.0])]).unwrap();
    let html = page.html();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("width=device-width") && html.contains("prefers-color-scheme: dark"));
    assert!(html.contains("default-src 'none'"));
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("url(") && !html.contains("@import"));
    assert!(values(&html, "src").iter().all(|s| s.starts_with("data:image/")));
    assert_eq!(values(&html, "alt"), ["eight avatars"]);
    assert_eq!(values(&html, "aria-label"), ["Chart: loss of a"]);
    assert!(html.contains("width=\"24\" height=\"16\""), "a small picture is shown larger");
}

#[test]
fn a_picture_survives_inside_the_page() {
    let x = Tensor::arange(0.0, 36.0, 1.0, DType::Uint8, Device::Cpu).unwrap().view(&[3, 3, 4]).unwrap();
    let uri = Picture::of(&x).unwrap().data_uri();
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
    let back = image::load_from_memory(&bytes).unwrap().to_rgb8();
    assert_eq!((back.dimensions(), back.get_pixel(1, 2).0), ((4, 3), [9, 21, 33]));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.png");
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(Picture::read(&file).unwrap().data_uri(), uri, "a PNG goes in as it is");
    back.save(dir.path().join("a.bmp")).unwrap();
    let from_bmp = Picture::read(&dir.path().join("a.bmp")).unwrap();
    assert!(from_bmp.data_uri().starts_with("data:image/png"), "browsers need not know BMP");
    assert_eq!((from_bmp.width, from_bmp.height), (4, 3));
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let e = Picture::read(&file).unwrap_err();
    assert!(e.to_string().contains("a.png"), "{e}");
}

#[test]
fn numbers_that_are_not_finite_are_shown() {
    for (x, want) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "\u{221e}"),
        (f64::NEG_INFINITY, "\u{2212}\u{221e}"),
        (0.0, "0"),
        (0.712_345, "0.7123"),
        (-0.5, "-0.5"),
        (27.194_4, "27.19"),
        (12_345.678, "12346"),
        (3000.0, "3000"),
        (0.000_123_456, "0.0001235"),
        (1.5e-7, "1.500e-7"),
        (9.999_96, "10"),
    ] {
        assert_eq!(shown(x), want, "{x}");
    }
    let mut page = Page::new("t", "");
    page.table(&["a".into(), "b".into()], &[vec![Cell::text("x"), Cell::number(f64::NAN)]], "").unwrap();
    page.plot(&Plot { title: "kl".into(), ..Plot::default() }, &[curve("a", &[f64::NAN, f64::INFINITY])]).unwrap();
    page.plot(&Plot { title: "l".into(), log_y: true, ..Plot::default() }, &[curve("b", &[1.0, f64::NAN, 0.0, 2.0])]).unwrap();
    let html = page.html();
    assert!(html.contains(">NaN</td>") && html.contains("There is no finite value to draw.") && html.contains("2 of 2 values not finite"));
    assert!(html.contains("1 of 4 values not finite") && html.contains("1 of 4 values not positive"));
    assert!(page.table(&["a".into()], &[vec![Cell::none(), Cell::none()]], "").is_err());
}

#[test]
fn long_curves_keep_their_spikes_and_gaps() {
    let mut ys: Vec<f64> = (0..100_000).map(|i| f64::from(i % 7)).collect();
    ys[54_321] = 99.0;
    ys[77_777] = f64::NAN;
    let mut page = Page::new("t", "");
    page.plot(&Plot { title: "long".into(), ..Plot::default() }, &[curve("", &ys)]).unwrap();
    let html = page.html();
    assert!(html.len() < 40_000, "{} bytes", html.len());
    assert!(html.contains("smallest and largest of every 334 values"));
    assert_eq!(html.matches("<polyline fill=\"none\" opacity=\"1\" stroke=\"#0072B2\"").count(), 2, "the gap divides the curve");
    // The spike makes the axis reach far above the other values.
    assert!(html.lines().filter_map(|l| l.trim().parse::<f64>().ok()).any(|tick| tick > 40.0 && tick < 110.0), "{html}");
}

#[test]
fn names_set_runs_apart() {
    let short = |paths: &[&str]| names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
    assert_eq!(short(&["/e/vae", "/e/ldm"]).unwrap(), ["vae", "ldm"]);
    assert_eq!(short(&["/e/a/vae", "/e/b/vae", "/e/c"]).unwrap(), ["a/vae", "b/vae", "c"]);
    assert_eq!(short(&["/e/x/1/vae", "/e/y/1/vae/"]).unwrap(), ["x/1/vae", "y/1/vae"]);
    assert_eq!(short(&["/vae", "/e/vae"]).unwrap(), ["vae", "e/vae"]);
    assert!(short(&["/e/vae", "/e/./b/../vae"]).unwrap_err().to_string().contains("given twice"));
}

#[test]
fn only_pages_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let page = Page::new("t", "");
    assert!(page.write(&dir.path().join("config.toml")).is_err());
    assert_eq!(page.write(&dir.path().join("missing/p.html")).unwrap_err().code(), "E0301");
    page.write(&dir.path().join("p.html")).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("p.html")).unwrap(), page.html());
}
