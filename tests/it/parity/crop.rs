//! Decoding and cropping against Pillow's own output: size, decoded pixels, and every crop, byte for byte.

use super::fixture::Fixture;
use super::report::Report;
use crate::support::sha256;
use lathe::data::{Size, center_crop, read_picture};
use lathe::error::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    let folder = f.path.parent().unwrap_or(Path::new("."));
    let images = f.meta["images"].as_array().ok_or_else(|| Error::data(&f.path, "has no list `images`"))?;
    for image in images {
        let name = image["src"].as_str().ok_or_else(|| Error::data(&f.path, "an image has no `src`"))?;
        // One picture that cannot be read must not hide the others.
        if let Err(e) = one(folder, image, name, r) {
            r.fail(format!("{name}: {e}"));
        }
    }
    Ok(())
}

fn one(folder: &Path, image: &Value, name: &str, r: &mut Report) -> Result<()> {
    let picture = read_picture(folder.join(name))?;
    r.same(&format!("size of {name}"), json!([picture.width, picture.height]), image["size"].clone());
    let want = image["rgb_sha256"].as_str().unwrap_or_default();
    r.same(&format!("pixels of {name}"), sha256(&picture.rgb).as_str(), want);
    if let Some(png) = image["decoded_rgb_png"].as_str() {
        r.same(&format!("pixels of {name} beside {png}"), read_picture(folder.join(png))? == picture, true);
    }
    for (resolution, expected) in image["crops"].as_object().into_iter().flatten() {
        let what = format!("{name} at {resolution}");
        let side = resolution.parse().map_err(|_| Error::value("parity", format!("{what}: no resolution")))?;
        let crop = center_crop(&picture, Size::square(side))?;
        r.same(&what, sha256(&crop.rgb).as_str(), expected["sha256"].as_str().unwrap_or_default());
        if let Some(png) = expected["png"].as_str() {
            r.same(&format!("{what} beside {png}"), read_picture(folder.join(png))? == crop, true);
        }
    }
    Ok(())
}
