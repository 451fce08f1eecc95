//! Generated pictures on disk: PNG files and one `.npz` for the evaluation suites. A stopped sampling run goes on where it was, and a finished
//! one can be extended.

use super::files::remove_leftovers;
use super::sample_record::{ARRAY, Archive, SETTINGS, SampleRecord, archive_of};
use crate::dist;
use crate::error::{Error, Result};
use crate::files::{self, Held};
use crate::origin::{Difference, Made, listed, say_unknown};
use crate::torch::files::{Npz, NpzWriter, read_safetensors, write_safetensors};
use crate::torch::{DType, Device, Tensor};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the writer keeps beside the pictures until they are complete.
const PARTS: &str = ".parts";
/// Pictures that are copied at a time.
const CHUNK: i64 = 256;
/// The way out of a refusal.
const REMEDY: &str = "name another --output, or have the pictures drawn anew: `--force`, in a script `#{force: true}`";

/// What is to be drawn.
#[derive(Debug, Clone, Default)]
pub struct SampleOptions {
    /// How many pictures there will be.
    pub total: usize,
    /// Whether each becomes a PNG file.
    pub png: bool,
    /// The settings that decide about a picture.
    pub settings: Map<String, Value>,
    /// What they are drawn with.
    pub made_from: Made,
    /// Draw anew where the folder holds other pictures, which are removed.
    pub force: bool,
}

/// Takes batches of uint8 pictures `[B, 3, R, R]` until there are `total`, then writes `DIR.npz`, whose `arr_0` is uint8 `[N, R, R, 3]`.
pub struct SampleWriter {
    dir: PathBuf,
    total: usize,
    position: usize,
    record: SampleRecord,
    /// The first picture of every part on disk, in order; those before them are in the archive.
    parts: Vec<usize>,
    /// By what right the folder is written.
    _held: Held,
}

impl SampleWriter {
    /// Opens `dir`, and finds what an earlier run with the same settings has drawn.
    ///
    /// # Errors
    /// `E0302` when the folder or the archive beside it holds other pictures, or more of them; `E0301` when it cannot be written.
    pub fn open(dir: &Path, o: SampleOptions) -> Result<SampleWriter> {
        dist::first_rank_only("writing samples")?;
        files::create_dir(dir)?;
        let found = SampleRecord::read(dir)?.filter(|_| !is_bare(dir));
        let other = match &found {
            Some(record) => others(dir, record, &o)?,
            None => strangers(dir)?,
        };
        let found = if other.is_empty() {
            found
        } else if o.force {
            crate::space::say(&format!("warning: the pictures in `{}` are drawn anew:{}", dir.display(), listed(&other)));
            discard(dir)?;
            None
        } else {
            return Err(Error::data(dir, format!("holds other pictures than these:{}", listed(&other))).help(REMEDY));
        };
        leftovers(dir)?;
        files::create_dir(&dir.join(PARTS))?;
        let found = found.unwrap_or_default();
        let is_old = found.is_old;
        let record = SampleRecord { settings: o.settings, made_from: o.made_from, png: found.png | o.png, is_old: false, ..found };
        let mut writer = SampleWriter { dir: dir.to_owned(), total: o.total, position: 0, record, parts: Vec::new(), _held: Held::here() };
        writer.find_archive()?;
        writer.find_parts()?;
        if writer.position > writer.total {
            return Err(Error::data(dir, format!("holds {} pictures, and {} are asked for", writer.position, writer.total))
                .help(format!("ask for {} or more, or name another --output", writer.position)));
        }
        // What an earlier version has drawn was drawn with nobody knows what: nothing else is claimed of it.
        if !is_old || writer.position < writer.total {
            writer.record.write(dir)?;
        }
        Ok(writer)
    }

    /// Takes the pictures of a whole archive as drawn.
    fn find_archive(&mut self) -> Result<()> {
        let path = self.npz();
        if !path.exists() {
            if let Some(gone) = self.record.archive.take() {
                crate::space::say(&format!("note: `{}` with its {} pictures is gone: they are drawn again", path.display(), gone.pictures));
            }
            return Ok(());
        }
        let there = Archive::of(&path)?;
        self.position = there.pictures;
        self.record.archive = Some(there);
        self.record.joining = None;
        Ok(())
    }

    fn find_parts(&mut self) -> Result<()> {
        while self.part(self.position).exists() {
            let file = self.part(self.position);
            let (named, _) = read_safetensors(&file)?;
            let n = named.get("images").and_then(|t| usize::try_from(t.shape()[0]).ok()).filter(|n| *n > 0);
            let n = n.ok_or_else(|| Error::data(&file, "holds no pictures").help("remove it"))?;
            self.parts.push(self.position);
            self.position += n;
        }
        Ok(())
    }

    /// How many pictures are on disk.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The archive that [`SampleWriter::finish`] writes.
    pub fn npz(&self) -> PathBuf {
        archive_of(&self.dir)
    }

    fn part(&self, first: usize) -> PathBuf {
        self.dir.join(PARTS).join(format!("{first:08}.safetensors"))
    }

    /// Writes a batch: uint8 `[B, 3, H, W]`, all of one size.
    ///
    /// # Errors
    /// `E0202` for other tensors or more pictures than were announced, `E0301` when the disk is full.
    pub fn push(&mut self, images: &Tensor) -> Result<()> {
        let (n, channels, ..) = images.size4()?;
        let left = self.total - self.position;
        let n = usize::try_from(n).unwrap_or(0);
        if images.dtype() != DType::Uint8 || channels != 3 || n == 0 || n > left {
            return Err(Error::value("push", format!("at most {left} more pictures [B, 3, R, R] u8 are wanted, got {}", images.describe())));
        }
        let images = images.to_device(Device::Cpu)?.contiguous()?;
        if self.record.png {
            self.write_pngs(self.position, &images.permute(&[0, 2, 3, 1])?.contiguous()?)?;
        }
        let named = std::iter::once(("images".to_owned(), images)).collect();
        write_safetensors(&self.part(self.position), &named, &HashMap::new())?;
        self.parts.push(self.position);
        self.position += n;
        Ok(())
    }

    fn png(&self, index: usize) -> PathBuf {
        self.dir.join(format!("{index:06}.png"))
    }

    /// Writes pictures `first ..`, u8 `[N, H, W, 3]`, as PNG files.
    fn write_pngs(&self, first: usize, images: &Tensor) -> Result<()> {
        use image::ImageEncoder;
        let size = |i| -> Result<u32> { u32::try_from(images.size(i)?).map_err(|_| Error::value("push", "the pictures are too large")) };
        let (height, width) = (size(1)?, size(2)?);
        for (i, image) in images.unbind(0)?.iter().enumerate() {
            let path = self.png(first + i);
            let rgb = image.to_bytes()?;
            files::write_atomic(&path, |out| {
                image::codecs::png::PngEncoder::new(out)
                    .write_image(&rgb, width, height, image::ExtendedColorType::Rgb8)
                    .map_err(|e| Error::io("write", &path, std::io::Error::other(e)))
            })?;
        }
        Ok(())
    }

    /// Joins the batches in the `.npz` and removes them. PNG files that are missing, as of pictures that were drawn without, are written.
    ///
    /// # Errors
    /// `E0202` when pictures are missing, `E0301` when the disk is full: the batches stay.
    pub fn finish(&mut self) -> Result<PathBuf> {
        let path = self.npz();
        if self.position < self.total {
            return Err(Error::value("finish", format!("{} of {} pictures are missing", self.total - self.position, self.total)));
        }
        if !self.parts.is_empty() {
            // From here on an archive with so many pictures is ours, also when nobody is left to write that down.
            self.record.joining = Some(self.total);
            self.record.write(&self.dir)?;
            self.join(&path)?;
            self.record.archive = Some(Archive::of(&path)?);
            self.record.joining = None;
            self.record.write(&self.dir)?;
        }
        if self.record.png {
            self.missing_pngs(&path)?;
        }
        files::remove_dir(&self.dir.join(PARTS))?;
        self.parts.clear();
        Ok(path)
    }

    fn join(&self, path: &Path) -> Result<()> {
        let before = self.record.archive.map(|_| Npz::open(path)?.rows(ARRAY)).transpose()?;
        let mut out = NpzWriter::create(path)?;
        let mut begun = false;
        let mut push = |images: &Tensor| {
            crate::interrupt::check()?;
            if !begun {
                begun = true;
                let shape = images.shape();
                out.begin(ARRAY, DType::Uint8, &[self.total as i64, shape[1], shape[2], shape[3]])?;
            }
            out.push(images)
        };
        if let Some(rows) = before {
            let n = rows.shape()[0];
            (0..n).step_by(CHUNK as usize).try_for_each(|at| push(&rows.read(at, CHUNK.min(n - at))?))?;
        }
        for &first in &self.parts {
            let file = self.part(first);
            let (named, _) = read_safetensors(&file)?;
            push(&named.get("images").ok_or_else(|| Error::data(&file, "holds no `images`"))?.permute(&[0, 2, 3, 1])?.contiguous()?)?;
        }
        out.finish()
    }

    fn missing_pngs(&self, npz: &Path) -> Result<()> {
        let missing: Vec<usize> = (0..self.total).filter(|i| !self.png(*i).exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = Npz::open(npz)?.rows(ARRAY)?;
        for i in missing {
            crate::interrupt::check()?;
            self.write_pngs(i, &rows.read(i as i64, 1)?)?;
        }
        Ok(())
    }
}

/// How the pictures of a folder, and the archive beside it, differ from those that are to be drawn.
fn others(dir: &Path, record: &SampleRecord, o: &SampleOptions) -> Result<Vec<Difference>> {
    let mut found = record.differences(&o.settings, &o.made_from);
    let npz = archive_of(dir);
    if npz.exists() {
        // An earlier version wrote the archive last of all, and nothing about it.
        let there = Archive::of(&npz).ok();
        let own = there.is_some() && (there == record.archive || there.map(|a| a.pictures) == record.joining || record.is_old);
        if !own {
            let (name, dir) = (npz.display(), dir.display());
            found.push(Difference { role: "archive".into(), text: format!("`{name}`: another program wrote it, not the one that drew `{dir}`") });
        }
    }
    if record.is_old && !o.made_from.is_empty() && found.is_empty() {
        if there_is_more_to_draw(dir, o.total)? {
            let text = "it was begun by an earlier version, which drew its random numbers otherwise".to_owned();
            found.push(Difference { role: "version".into(), text });
        } else {
            say_unknown(&format!("`{}`", dir.display()), "with which weights its pictures were drawn");
        }
    }
    Ok(found)
}

/// Removes what a killed run left half-written of the pictures in `dir`, and of the archive beside it.
fn leftovers(dir: &Path) -> Result<()> {
    remove_leftovers(dir, "")?;
    let npz = archive_of(dir);
    let beside = npz.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    remove_leftovers(beside, &format!("{}.", npz.file_name().unwrap_or_default().to_string_lossy()))
}

/// Whether nothing was drawn yet: then it does not matter how.
fn is_bare(dir: &Path) -> bool {
    files::list(&dir.join(PARTS)).is_ok_and(|parts| parts.is_empty()) && strangers(dir).is_ok_and(|found| found.is_empty())
}

/// Whether the archive of a folder has fewer pictures than are wanted, or is not there.
fn there_is_more_to_draw(dir: &Path, total: usize) -> Result<bool> {
    let npz = archive_of(dir);
    Ok(!npz.exists() || Archive::of(&npz)?.pictures < total)
}

/// What lies where pictures are to go, although no run of ours has left its record there.
fn strangers(dir: &Path) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let npz = archive_of(dir);
    if npz.exists() {
        let text = format!("`{}` is there, and no {SETTINGS} says what it was drawn with", npz.display());
        found.push(Difference { role: "archive".into(), text });
    }
    let pictures = files::list(dir)?.into_iter().filter(|(name, _)| is_picture(name)).count();
    if pictures > 0 {
        let text = format!("{pictures} pictures are there, and no {SETTINGS} says what they were drawn with");
        found.push(Difference { role: "pictures".into(), text });
    }
    Ok(found)
}

fn is_picture(name: &str) -> bool {
    [".png", ".jpg", ".jpeg", ".webp"].iter().any(|end| name.to_lowercase().ends_with(end))
}

/// Removes the pictures of a folder, and its archive. The record goes first: without it nothing counts as drawn.
fn discard(dir: &Path) -> Result<()> {
    let (record, npz) = (dir.join(SETTINGS), archive_of(dir));
    for path in [record, npz].iter().filter(|p| p.is_file()) {
        files::remove(path)?;
    }
    files::remove_dir(&dir.join(PARTS))?;
    let (mut others, ours) = (0, |name: &str| name.strip_suffix(".png").is_some_and(|n| n.len() >= 6 && n.bytes().all(|b| b.is_ascii_digit())));
    for (name, path) in files::list(dir)? {
        if ours(&name) {
            files::remove(&path)?;
        } else if is_picture(&name) {
            others += 1;
        }
    }
    if others > 0 {
        crate::space::say(&format!("warning: {others} other pictures stay in `{}`", dir.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;
    use crate::torch::files::read_npz;
    use serde_json::json;

    fn pictures(n: i64, seed: u8) -> Tensor {
        let data: Vec<u8> = (0..n * 3 * 4 * 4).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed)).collect();
        Tensor::from_vec(&data, &[n, 3, 4, 4]).unwrap()
    }

    fn made(id: &str) -> Made {
        Made::from([("checkpoint".to_owned(), Origin::new("weights", "run").about(format!("step {id}")).with_id(id))])
    }

    fn o(total: usize, png: bool, seed: i64) -> SampleOptions {
        let settings = json!({"seed": seed}).as_object().unwrap().clone();
        SampleOptions { total, png, settings, made_from: made("some"), force: false }
    }

    #[test]
    fn a_stopped_run_goes_on_and_gives_the_same_archive() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        let mut whole = SampleWriter::open(&a, o(5, true, 1)).unwrap();
        whole.push(&pictures(3, 1)).unwrap();
        whole.push(&pictures(2, 2)).unwrap();
        whole.finish().unwrap();
        {
            let mut first = SampleWriter::open(&b, o(5, false, 1)).unwrap();
            first.push(&pictures(3, 1)).unwrap();
            assert!(first.finish().is_err(), "two pictures are missing");
        }
        let mut second = SampleWriter::open(&b, o(5, false, 1)).unwrap();
        assert_eq!(second.position(), 3);
        second.push(&pictures(2, 2)).unwrap();
        second.finish().unwrap();
        let (one, two) = (read_npz(&whole.npz()).unwrap(), read_npz(&second.npz()).unwrap());
        let (one, two) = (one.get("arr_0").unwrap(), two.get("arr_0").unwrap());
        assert_eq!(one.shape(), [5, 4, 4, 3]);
        assert_eq!(one.to_vec_i64().unwrap(), two.to_vec_i64().unwrap());
        assert_eq!(one.to_vec_i64().unwrap()[..3], [1, 113, 225], "channels last: pixel 0 holds elements 0, 16 and 32 of the first picture");
        assert!(a.join("000004.png").exists() && !b.join("000004.png").exists());
        assert_eq!(SampleWriter::open(&a, o(5, true, 1)).unwrap().position(), 5, "nothing is drawn again");
    }

    #[test]
    fn pictures_that_are_no_squares_keep_their_sides() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("s");
        let data: Vec<u8> = (0..2 * 3 * 4 * 6).map(|i| i as u8).collect();
        let images = Tensor::from_vec(&data, &[2, 3, 4, 6]).unwrap();
        let mut w = SampleWriter::open(&dir, o(2, true, 1)).unwrap();
        w.push(&images).unwrap();
        w.finish().unwrap();
        let npz = read_npz(&w.npz()).unwrap();
        let kept = npz.get("arr_0").unwrap();
        assert_eq!(kept.shape(), [2, 4, 6, 3]);
        assert_eq!(kept.permute(&[0, 3, 1, 2]).unwrap().contiguous().unwrap().to_vec_i64().unwrap(), images.to_vec_i64().unwrap());
        for place in [dir.clone(), w.npz()] {
            let read = crate::data::Pictures::open(&place).unwrap();
            assert_eq!((read.size(), read.len()), ([4, 6], 2));
            assert_eq!(read.read(0, 2).unwrap().to_vec_i64().unwrap(), images.to_vec_i64().unwrap(), "{}", place.display());
        }
    }

    #[test]
    fn other_settings_weights_or_archives_do_not_continue_a_folder() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("s");
        let mut w = SampleWriter::open(&dir, o(2, true, 1)).unwrap();
        w.push(&pictures(2, 0)).unwrap();
        w.finish().unwrap();
        let refused = |o: SampleOptions| SampleWriter::open(&dir, o).err().unwrap().to_string();
        let e = refused(o(2, true, 2));
        assert!(e.contains("seed: 1 -> 2"), "{e}");
        let e = refused(SampleOptions { made_from: made("other"), ..o(2, true, 1) });
        assert!(e.contains("checkpoint: weights `run` (step some) some -> weights `run` (step other) other"), "{e}");
        assert!(refused(o(1, true, 1)).contains("holds 2 pictures, and 1 are asked for"));
        // Another archive of the same name and shape.
        let mut foreign = NpzWriter::create(&archive_of(&dir)).unwrap();
        foreign.add("arr_0", &pictures(2, 9).permute(&[0, 2, 3, 1]).unwrap().contiguous().unwrap()).unwrap();
        foreign.finish().unwrap();
        assert!(refused(o(2, true, 1)).contains("another program wrote it"));
        let anew = SampleWriter::open(&dir, SampleOptions { force: true, ..o(2, true, 1) }).unwrap();
        assert_eq!((anew.position(), dir.join("000000.png").exists(), archive_of(&dir).exists()), (0, false, false));
    }

    #[test]
    fn what_no_run_of_ours_has_left_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        std::fs::write(temp.path().join("a.npz"), b"anything").unwrap();
        let e = SampleWriter::open(&a, o(2, true, 1)).err().unwrap();
        assert!(e.to_string().contains("a.npz` is there") && e.help_text().unwrap().contains("--force"), "{e}");
        std::fs::create_dir(&b).unwrap();
        std::fs::write(b.join("x.png"), b"anything").unwrap();
        assert!(SampleWriter::open(&b, o(2, true, 1)).err().unwrap().to_string().contains("1 pictures are there"));
    }

    #[test]
    fn a_finished_set_is_extended_by_the_new_pictures_alone() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        let mut whole = SampleWriter::open(&a, o(5, true, 1)).unwrap();
        whole.push(&pictures(5, 1)).unwrap();
        whole.finish().unwrap();
        let mut first = SampleWriter::open(&b, o(2, false, 1)).unwrap();
        first.push(&pictures(5, 1).narrow(0, 0, 2).unwrap()).unwrap();
        first.finish().unwrap();
        let mut more = SampleWriter::open(&b, o(5, true, 1)).unwrap();
        assert_eq!(more.position(), 2);
        more.push(&pictures(5, 1).narrow(0, 2, 3).unwrap()).unwrap();
        more.finish().unwrap();
        assert_eq!(files::read(&whole.npz()).unwrap(), files::read(&more.npz()).unwrap());
        assert_eq!(files::read(&a.join("000000.png")).unwrap(), files::read(&b.join("000000.png")).unwrap(), "written now");
        // Killed between the archive and the record.
        let mut record = SampleRecord::read(&b).unwrap().unwrap();
        (record.archive, record.joining) = (None, Some(5));
        record.write(&b).unwrap();
        assert_eq!(SampleWriter::open(&b, o(5, true, 1)).unwrap().position(), 5);
    }

    #[test]
    fn a_set_of_an_earlier_version_is_read_and_not_continued() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("s");
        let mut w = SampleWriter::open(&dir, o(2, false, 1)).unwrap();
        w.push(&pictures(2, 0)).unwrap();
        w.finish().unwrap();
        std::fs::write(dir.join(SETTINGS), r#"{"seed": 1, "png": false, "output": "s", "num_fid_samples": 2}"#).unwrap();
        assert_eq!(SampleWriter::open(&dir, o(2, false, 1)).unwrap().position(), 2);
        assert!(SampleWriter::open(&dir, o(3, false, 1)).err().unwrap().to_string().contains("earlier version"));
        assert!(SampleWriter::open(&dir, o(2, false, 2)).err().unwrap().to_string().contains("seed: 1 -> 2"));
    }

    #[test]
    fn pictures_of_another_kind_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let mut w = SampleWriter::open(&temp.path().join("s"), o(2, false, 1)).unwrap();
        assert!(w.push(&pictures(3, 0)).is_err());
        assert!(w.push(&pictures(1, 0).to_dtype(DType::Float).unwrap()).is_err());
    }
}
