//! Sets of pictures that are measured, wherever they lie: a folder, an `.npz`, or the shards of a data set.

use super::choose::{Pick, choose, words};
use super::decode::{Lost, read_and_tell, read_picture};
use super::listing::{Listing, parts, refuse_parts};
use super::manifest::{LostCounts, name_skipped};
use super::names::relative;
use super::sample_record::{Archive, origin_of};
use super::{ImageSet, Samples};
use crate::error::{Error, Result};
use crate::files::{self, Pass};
use crate::origin::Origin;
use crate::torch::files::{NpyRows, Npz};
use crate::torch::{DType, Tensor, dtype_name};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The array of an `.npz` that samplers write.
const ARRAY: &str = "arr_0";

/// Pictures of one size, by position.
#[derive(Clone)]
pub struct Pictures {
    all: Rc<Inner>,
    /// The chosen ones, where not all are.
    chosen: Option<Rc<[usize]>>,
}

struct Inner {
    path: PathBuf,
    place: Place,
    size: [i64; 2],
    len: i64,
    fingerprint: String,
    /// What was said to be lost in decoding: once for each kind.
    told: Cell<Lost>,
    /// By what right files are opened later.
    pass: Pass,
}

enum Place {
    Files(Vec<PathBuf>),
    Npz(NpyRows),
    Shards(ImageSet),
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [h, w] = self.all.size;
        write!(f, "{} pictures of {h} x {w} in {}", self.len(), self.all.path.display())
    }
}

impl Pictures {
    /// Opens a folder of pictures (of all its sub-folders too, in the order of their paths), an `.npz` with `arr_0` u8 `[N, H, W, 3]`, or a
    /// data set folder of `preprocess`.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` for a folder without pictures, or an `.npz` without such an array.
    pub fn open(path: &Path) -> Result<Pictures> {
        let meta = path.metadata().map_err(|e| Error::io("open", path, e))?;
        let shards = meta.is_dir() && path.join("dataset.json").is_file() && path.join("images-00000.safetensors").is_file();
        let inner = match (meta.is_dir(), shards) {
            (false, _) => npz(path)?,
            (true, true) => {
                let set = ImageSet::open(path)?;
                let size = set.size();
                let hashes: Vec<&str> = set.dataset().shards.iter().map(|s| s.sha256.as_str()).collect();
                Inner {
                    path: path.to_owned(),
                    size: [size.height as i64, size.width as i64],
                    len: set.len() as i64,
                    fingerprint: digest(&hashes),
                    place: Place::Shards(set),
                    told: Cell::default(),
                    pass: Pass::here(),
                }
            }
            (true, false) => folder(path)?,
        };
        Ok(Pictures { all: Rc::new(inner), chosen: None })
    }

    /// At most `most` of them; says how they were chosen where there are more.
    ///
    /// # Errors
    /// As [`Pictures::labels`].
    pub fn limit(&self, most: usize, pick: Pick, seed: u64) -> Result<Pictures> {
        let len = self.len() as usize;
        if most >= len {
            return Ok(self.clone());
        }
        let labels = if pick == Pick::First { None } else { self.labels()? };
        let labels: Vec<usize> = labels.map_or_else(|| vec![0; len], |l| l.into_iter().map(|x| x as usize).collect());
        let classes = labels.iter().collect::<BTreeSet<_>>().len();
        crate::space::say(&format!("{}: {}", self.all.path.display(), words(most, len, classes, pick, seed)));
        self.at(&choose(&labels, most, pick, seed).into_iter().map(|i| i as i64).collect::<Vec<_>>())
    }

    /// Those at these positions.
    ///
    /// # Errors
    /// `E0202` for a position beyond the set.
    pub fn at(&self, positions: &[i64]) -> Result<Pictures> {
        let beyond = |i: i64| Error::value("at", format!("position {i} of a set of {}", self.len()));
        let one = |i: &i64| usize::try_from(*i).ok().filter(|_| *i < self.len()).map(|i| self.position(i)).ok_or_else(|| beyond(*i));
        Ok(Pictures { all: self.all.clone(), chosen: Some(positions.iter().map(one).collect::<Result<_>>()?) })
    }

    /// How many there are.
    pub fn len(&self) -> i64 {
        self.chosen.as_ref().map_or(self.all.len, |c| c.len() as i64)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width.
    pub fn size(&self) -> [i64; 2] {
        self.all.size
    }

    /// Where each lies in the whole set.
    pub fn positions(&self) -> Vec<i64> {
        (0..self.len() as usize).map(|i| self.position(i) as i64).collect()
    }

    fn position(&self, i: usize) -> usize {
        self.chosen.as_ref().map_or(i, |c| c[i])
    }

    /// The paths of the pictures below the folder, with `/`; empty for sets that have none.
    pub fn names(&self) -> Vec<String> {
        let Place::Files(files) = &self.all.place else { return Vec::new() };
        (0..self.len() as usize).map(|i| relative(&self.all.path, &files[self.position(i)])).collect()
    }

    /// The class of each: of shards their labels, in a folder the position of its first folder among them. `None` where all are of one class, or
    /// nothing says which.
    ///
    /// # Errors
    /// `E0302` for a folder that holds parts of a data set (`train`, `val`) and no classes.
    pub fn labels(&self) -> Result<Option<Vec<i64>>> {
        let labels: Vec<i64> = match &self.all.place {
            Place::Npz(_) => return Ok(None),
            Place::Shards(set) => set.labels(&self.positions().into_iter().map(|p| p as usize).collect::<Vec<_>>())?,
            Place::Files(_) => {
                let names = self.names();
                let folder = |name: &String| name.split_once('/').map_or(String::new(), |f| f.0.to_owned());
                let folders: Vec<String> = names.iter().map(folder).collect::<BTreeSet<_>>().into_iter().collect();
                if let found @ [_, ..] = &parts(folders.iter().map(String::as_str))[..] {
                    return Err(refuse_parts(&self.all.path, found));
                }
                names.iter().map(|n| folders.binary_search(&folder(n)).unwrap_or(0) as i64).collect()
            }
        };
        Ok((labels.iter().min() < labels.iter().max()).then_some(labels))
    }

    /// The folder or archive.
    pub fn path(&self) -> &Path {
        &self.all.path
    }

    /// Changes when the pictures do: of archives and shards by the sums in them, of folders as far as names, sizes and times of files tell.
    pub fn fingerprint(&self) -> String {
        let Some(chosen) = &self.chosen else { return self.all.fingerprint.clone() };
        digest(&[&self.all.fingerprint, &format!("{chosen:?}")])
    }

    /// What they are, and where a run of ours drew or cut them, what from. Of other folders as far as names, sizes and times of files tell.
    ///
    /// # Errors
    /// `E0302` when the record beside them is damaged.
    pub fn origin(&self) -> Result<Origin> {
        let Inner { path, place, size: [h, w], .. } = &*self.all;
        match place {
            Place::Shards(set) => Ok(set.origin()),
            Place::Npz(_) | Place::Files(_) => {
                let about = format!("{} pictures of {h} x {w}", self.len());
                let whole = if self.chosen.is_none() { origin_of(path)? } else { None };
                Ok(whole.unwrap_or_else(|| Origin::new("pictures", path).about(about).with_id(self.fingerprint())))
            }
        }
    }

    /// Pictures `start .. start + n`: u8 `[n, 3, H, W]`.
    ///
    /// # Errors
    /// `E0202` for pictures that are not there, `E0301` or `E0302` when one cannot be read or is of another size than the first.
    pub fn read(&self, start: i64, n: i64) -> Result<Tensor> {
        let Inner { place, size: [h, w], pass, .. } = &*self.all;
        if start < 0 || n < 0 || start.checked_add(n).is_none_or(|end| end > self.len()) {
            return Err(Error::value("read", format!("pictures {start} to {start}+{n} of {}", self.len())));
        }
        let positions: Vec<usize> = (start as usize..(start + n) as usize).map(|i| self.position(i)).collect();
        match place {
            Place::Npz(rows) if self.chosen.is_none() => rows.read(start, n)?.permute(&[0, 3, 1, 2])?.contiguous(),
            Place::Npz(rows) => {
                let each: Vec<Tensor> = positions.iter().map(|p| rows.read(*p as i64, 1)).collect::<Result<_>>()?;
                if each.is_empty() { rows.read(0, 0)? } else { Tensor::cat(&each, 0)? }.permute(&[0, 3, 1, 2])?.contiguous()
            }
            Place::Shards(set) => set.gather(&positions)?.get("images").cloned(),
            Place::Files(files) => {
                let one = |p: &usize| {
                    let _pass = pass.enter();
                    pixels(&files[*p], [*h, *w], &files[0])
                };
                let decoded = positions.par_iter().map(one).collect::<Result<Vec<_>>>()?;
                decoded.iter().zip(&positions).for_each(|((_, lost), p)| self.tell(&files[*p], *lost));
                let rgb: Vec<Vec<u8>> = decoded.into_iter().map(|d| d.0).collect();
                Tensor::from_vec(&rgb.concat(), &[n, *h, *w, 3])?.permute(&[0, 3, 1, 2])?.contiguous()
            }
        }
    }

    /// Says that pictures of this set lose something, the first time that one does.
    fn tell(&self, file: &Path, lost: Lost) {
        let told = self.all.told.get();
        let fresh = Lost { clipped: lost.clipped && !told.clipped, alpha: lost.alpha && !told.alpha };
        self.all.told.set(Lost { clipped: told.clipped || lost.clipped, alpha: told.alpha || lost.alpha });
        for line in LostCounts::from(fresh).words() {
            crate::space::say(&format!("{}: {line} (said once for this set)", file.display()));
        }
    }
}

/// One file's pixels, which must be as many as the first's.
fn pixels(file: &Path, size: [i64; 2], first: &Path) -> Result<(Vec<u8>, Lost)> {
    let (p, lost) = read_and_tell(file)?;
    let own = [p.height as i64, p.width as i64];
    if own == size {
        return Ok((p.rgb, lost));
    }
    let message = format!("is {} x {}, but `{}` is {} x {}", own[0], own[1], first.display(), size[0], size[1]);
    Err(Error::data(file, message).help("all pictures of a set have one size: `lathe run scripts/preprocess.rhai` crops and scales a folder"))
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|p| hash.update(format!("{p}\0")));
    files::hex(&hash.finalize())[..16].to_owned()
}

fn folder(path: &Path) -> Result<Inner> {
    let listing = Listing::of(path)?;
    let say = |line: &str| crate::space::say(&format!("{}: {line}", path.display()));
    listing.left_out_line().iter().for_each(|line| say(line));
    name_skipped(&listing.skipped, "", &say);
    let found = listing.pictures;
    let Some(first) = found.first().map(|f| &f.path) else {
        return Err(Error::data(path, "no picture in this folder or below it"));
    };
    let p = read_picture(first)?;
    let names: Vec<String> = found.iter().map(|f| format!("{} {} {}", f.name, f.size, files::changed(&f.path))).collect();
    Ok(Inner {
        path: path.to_owned(),
        size: [p.height as i64, p.width as i64],
        len: found.len() as i64,
        fingerprint: digest(&names.iter().map(String::as_str).collect::<Vec<_>>()),
        place: Place::Files(found.into_iter().map(|f| f.path).collect()),
        told: Cell::default(),
        pass: Pass::here(),
    })
}

fn npz(path: &Path) -> Result<Inner> {
    let rows = Npz::open(path)?.rows(ARRAY)?;
    let [n, h, w, 3] = rows.shape()[..] else {
        return Err(Error::data(path, format!("`{ARRAY}` must be [N, H, W, 3], it is {:?}", rows.shape())));
    };
    if rows.dtype() != DType::Uint8 {
        return Err(
            Error::data(path, format!("`{ARRAY}` must be uint8, it is {}", dtype_name(rows.dtype()))).help("save pixels of 0 to 255 as uint8")
        );
    }
    if n < 1 || h < 1 || w < 1 {
        return Err(Error::data(path, format!("`{ARRAY}` holds no pictures: {:?}", rows.shape())));
    }
    // The archive lists the sum of each array: nothing is read, and a copy elsewhere is the same.
    let fingerprint = Archive::of(path)?.id()[..16].to_owned();
    Ok(Inner { path: path.to_owned(), size: [h, w], len: n, fingerprint, place: Place::Npz(rows), told: Cell::default(), pass: Pass::here() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::files::NpzWriter;

    fn images(n: i64, side: i64) -> Tensor {
        let count = (n * 3 * side * side) as f64;
        Tensor::arange(0.0, count, 1.0, DType::Int64, crate::torch::Device::Cpu)
            .unwrap()
            .to_dtype(DType::Uint8)
            .unwrap()
            .view(&[n, 3, side, side])
            .unwrap()
    }

    fn save_png(path: &Path, x: &Tensor) {
        let (h, w) = (x.size(1).unwrap() as u32, x.size(2).unwrap() as u32);
        let pixels = x.permute(&[1, 2, 0]).unwrap().contiguous().unwrap().to_bytes().unwrap();
        image::save_buffer(path, &pixels, w, h, image::ExtendedColorType::Rgb8).unwrap();
    }

    #[test]
    fn a_folder_and_an_npz_give_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let x = images(3, 5);
        std::fs::create_dir(dir.path().join("png")).unwrap();
        for i in 0..3 {
            save_png(&dir.path().join(format!("png/{i}.png")), &x.select(0, i).unwrap());
        }
        let mut w = NpzWriter::create(&dir.path().join("x.npz")).unwrap();
        w.add("arr_0", &x.permute(&[0, 2, 3, 1]).unwrap().contiguous().unwrap()).unwrap();
        w.finish().unwrap();
        let (a, b) = (Pictures::open(&dir.path().join("png")).unwrap(), Pictures::open(&dir.path().join("x.npz")).unwrap());
        assert_eq!((a.len(), a.size(), b.len(), b.size()), (3, [5, 5], 3, [5, 5]));
        let want = x.narrow(0, 1, 2).unwrap().to_bytes().unwrap();
        assert_eq!((a.read(1, 2).unwrap().to_bytes().unwrap(), b.read(1, 2).unwrap().to_bytes().unwrap()), (want.clone(), want));
        assert!(a.read(2, 2).is_err() && b.read(-1, 1).is_err());
        let before = a.fingerprint().to_owned();
        save_png(&dir.path().join("png/3.png"), &images(1, 5).select(0, 0).unwrap());
        assert_ne!(Pictures::open(&dir.path().join("png")).unwrap().fingerprint(), before);
    }

    #[test]
    fn odd_sets_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Pictures::open(dir.path()).unwrap_err().to_string().contains("no picture"));
        save_png(&dir.path().join("a.png"), &images(1, 4).select(0, 0).unwrap());
        save_png(&dir.path().join("b.png"), &images(1, 6).select(0, 0).unwrap());
        let e = Pictures::open(dir.path()).unwrap().read(0, 2).unwrap_err().to_string();
        assert!(e.contains("b.png") && e.contains("6 x 6") && e.contains("4 x 4"), "{e}");
        let save = |name: &str, key: &str, t: &Tensor| {
            let path = dir.path().join(name);
            let mut w = NpzWriter::create(&path).unwrap();
            w.add(key, t).unwrap();
            w.finish().unwrap();
            Pictures::open(&path).unwrap_err().to_string()
        };
        let x = images(2, 4).permute(&[0, 2, 3, 1]).unwrap().contiguous().unwrap();
        assert!(save("key.npz", "images", &x).contains("`images`"));
        assert!(save("dtype.npz", "arr_0", &x.to_dtype(DType::Float).unwrap()).contains("uint8"));
        assert!(save("shape.npz", "arr_0", &images(2, 4)).contains("[N, H, W, 3]"));
        assert!(Pictures::open(&dir.path().join("missing")).is_err());
    }
}
