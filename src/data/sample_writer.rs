//! Generated pictures on disk: PNG files and one `.npz` for the evaluation suites. A stopped sampling run goes on where it was.

use crate::error::{Error, Result};
use crate::files;
use crate::torch::files::{NpzWriter, read_safetensors, write_safetensors};
use crate::torch::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the writer keeps beside the pictures until they are complete.
const PARTS: &str = ".parts";
/// How the pictures were drawn; other settings must not continue them.
const SETTINGS: &str = "settings.json";

/// Takes batches of uint8 pictures `[B, 3, R, R]` until there are `total`, then writes `DIR.npz`, whose `arr_0` is uint8 `[N, R, R, 3]`.
pub struct SampleWriter {
    dir: PathBuf,
    total: usize,
    position: usize,
    png: bool,
    /// The first picture of every part on disk, in order.
    parts: Vec<usize>,
}

impl SampleWriter {
    /// Opens `dir`, and finds what an earlier run with the same settings has drawn.
    ///
    /// # Errors
    /// `E0302` when the folder holds pictures drawn with other settings, `E0301` when it cannot be written.
    pub fn open(dir: &Path, total: usize, png: bool, settings: &serde_json::Value) -> Result<SampleWriter> {
        files::create_dir(&dir.join(PARTS))?;
        let path = dir.join(SETTINGS);
        if path.exists() {
            let old: serde_json::Value = files::read_json(&path)?;
            if let Some(difference) = difference(&old, settings) {
                return Err(Error::data(dir, format!("holds pictures drawn with other settings: {difference}"))
                    .help("name another --output, or remove the folder"));
            }
        }
        files::write_atomic(&path, |out| serde_json::to_writer_pretty(out, settings).map_err(|e| Error::io("write", &path, e.into())))?;
        let mut writer = SampleWriter { dir: dir.to_owned(), total, position: 0, png, parts: Vec::new() };
        if writer.npz().exists() {
            writer.position = total;
        }
        while writer.position < total && writer.part(writer.position).exists() {
            let file = writer.part(writer.position);
            let (named, _) = read_safetensors(&file)?;
            let n = named.get("images").and_then(|t| usize::try_from(t.shape()[0]).ok()).filter(|n| *n > 0);
            let n = n.ok_or_else(|| Error::data(&file, "holds no pictures").help("remove it"))?;
            writer.parts.push(writer.position);
            writer.position += n;
        }
        Ok(writer)
    }

    /// How many pictures are on disk.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The archive that [`SampleWriter::finish`] writes.
    pub fn npz(&self) -> PathBuf {
        let mut name = self.dir.as_os_str().to_owned();
        name.push(".npz");
        PathBuf::from(name)
    }

    fn part(&self, first: usize) -> PathBuf {
        self.dir.join(PARTS).join(format!("{first:08}.safetensors"))
    }

    /// Writes a batch: uint8 `[B, 3, R, R]`.
    ///
    /// # Errors
    /// `E0202` for other tensors or more pictures than were announced, `E0301` when the disk is full.
    pub fn push(&mut self, images: &Tensor) -> Result<()> {
        let (n, channels, height, width) = images.size4()?;
        let left = self.total - self.position;
        let n = usize::try_from(n).unwrap_or(0);
        if images.dtype() != DType::Uint8 || channels != 3 || n == 0 || n > left {
            return Err(Error::value("push", format!("at most {left} more pictures [B, 3, R, R] u8 are wanted, got {}", images.describe())));
        }
        let images = images.to_device(Device::Cpu)?.contiguous()?;
        if self.png {
            let size = |x| u32::try_from(x).map_err(|_| Error::value("push", "the pictures are too large"));
            let (height, width) = (size(height)?, size(width)?);
            for (i, image) in images.permute(&[0, 2, 3, 1])?.contiguous()?.unbind(0)?.iter().enumerate() {
                self.write_png(self.position + i, &image.to_bytes()?, width, height)?;
            }
        }
        let named = std::iter::once(("images".to_owned(), images)).collect();
        write_safetensors(&self.part(self.position), &named, &HashMap::new())?;
        self.parts.push(self.position);
        self.position += n;
        Ok(())
    }

    fn write_png(&self, index: usize, rgb: &[u8], width: u32, height: u32) -> Result<()> {
        use image::ImageEncoder;
        let path = self.dir.join(format!("{index:06}.png"));
        files::write_atomic(&path, |out| {
            image::codecs::png::PngEncoder::new(out)
                .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
                .map_err(|e| Error::io("write", &path, std::io::Error::other(e)))
        })
    }

    /// Joins the batches in the `.npz` and removes them.
    ///
    /// # Errors
    /// `E0202` when pictures are missing, `E0301` when the disk is full: the batches stay.
    pub fn finish(&mut self) -> Result<PathBuf> {
        let path = self.npz();
        if self.position < self.total {
            return Err(Error::value("finish", format!("{} of {} pictures are missing", self.total - self.position, self.total)));
        }
        if !self.parts.is_empty() {
            self.join(&path)?;
        }
        let parts = self.dir.join(PARTS);
        files::remove_dir(&parts)?;
        self.parts.clear();
        Ok(path)
    }

    fn join(&self, path: &Path) -> Result<()> {
        let mut out = NpzWriter::create(path)?;
        for (i, &first) in self.parts.iter().enumerate() {
            crate::interrupt::check()?;
            let file = self.part(first);
            let (named, _) = read_safetensors(&file)?;
            let images = named.get("images").ok_or_else(|| Error::data(&file, "holds no `images`"))?.permute(&[0, 2, 3, 1])?.contiguous()?;
            if i == 0 {
                let shape = images.shape();
                out.begin("arr_0", DType::Uint8, &[self.total as i64, shape[1], shape[2], shape[3]])?;
            }
            out.push(&images)?;
        }
        out.finish()
    }
}

/// The settings that differ, for the message; `None` when none does.
fn difference(old: &serde_json::Value, new: &serde_json::Value) -> Option<String> {
    let empty = serde_json::Map::new();
    let (a, b) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let shown = |v: Option<&serde_json::Value>| v.map_or("nothing".into(), ToString::to_string);
    let changed: Vec<String> =
        names.into_iter().filter(|k| a.get(*k) != b.get(*k)).map(|k| format!("`{k}` was {} and is {}", shown(a.get(k)), shown(b.get(k)))).collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::files::read_npz;
    use serde_json::json;

    fn pictures(n: i64, seed: u8) -> Tensor {
        let data: Vec<u8> = (0..n * 3 * 4 * 4).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed)).collect();
        Tensor::from_vec(&data, &[n, 3, 4, 4]).unwrap()
    }

    #[test]
    fn a_stopped_run_goes_on_and_gives_the_same_archive() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        let mut whole = SampleWriter::open(&a, 5, true, &json!({"seed": 1})).unwrap();
        whole.push(&pictures(3, 1)).unwrap();
        whole.push(&pictures(2, 2)).unwrap();
        whole.finish().unwrap();
        {
            let mut first = SampleWriter::open(&b, 5, false, &json!({"seed": 1})).unwrap();
            first.push(&pictures(3, 1)).unwrap();
            assert!(first.finish().is_err(), "two pictures are missing");
        }
        let mut second = SampleWriter::open(&b, 5, false, &json!({"seed": 1})).unwrap();
        assert_eq!(second.position(), 3);
        second.push(&pictures(2, 2)).unwrap();
        second.finish().unwrap();
        let (one, two) = (read_npz(&whole.npz()).unwrap(), read_npz(&second.npz()).unwrap());
        let (one, two) = (one.get("arr_0").unwrap(), two.get("arr_0").unwrap());
        assert_eq!(one.shape(), [5, 4, 4, 3]);
        assert_eq!(one.to_vec_i64().unwrap(), two.to_vec_i64().unwrap());
        assert_eq!(one.to_vec_i64().unwrap()[..3], [1, 113, 225], "channels last: pixel 0 holds elements 0, 16 and 32 of the first picture");
        assert!(a.join("000004.png").exists() && !b.join("000004.png").exists());
        assert_eq!(SampleWriter::open(&a, 5, true, &json!({"seed": 1})).unwrap().position(), 5, "nothing is drawn again");
    }

    #[test]
    fn other_settings_do_not_continue_a_folder() {
        let temp = tempfile::tempdir().unwrap();
        SampleWriter::open(temp.path(), 5, true, &json!({"seed": 1, "mode": "ode"})).unwrap();
        let e = SampleWriter::open(temp.path(), 5, true, &json!({"seed": 2, "mode": "ode"})).err().unwrap().to_string();
        assert!(e.contains("`seed` was 1 and is 2"), "{e}");
    }

    #[test]
    fn pictures_of_another_kind_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let mut w = SampleWriter::open(temp.path(), 2, false, &json!({})).unwrap();
        assert!(w.push(&pictures(3, 0)).is_err());
        assert!(w.push(&pictures(1, 0).to_dtype(DType::Float).unwrap()).is_err());
    }
}
