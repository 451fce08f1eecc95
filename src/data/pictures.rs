//! Sets of pictures that are measured, wherever they lie: a folder, an `.npz`, or the shards of a data set.

use super::decode::read_picture;
use super::sample_record::{Archive, origin_of};
use super::source::{list, relative};
use super::{ImageSet, Samples};
use crate::error::{Error, Result};
use crate::files;
use crate::origin::Origin;
use crate::torch::files::{NpyRows, Npz};
use crate::torch::{DType, Tensor, dtype_name};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The array of an `.npz` that samplers write.
const ARRAY: &str = "arr_0";

/// Pictures of one size, by position.
#[derive(Clone)]
pub struct Pictures(Rc<Inner>);

struct Inner {
    path: PathBuf,
    place: Place,
    size: [i64; 2],
    len: i64,
    fingerprint: String,
}

enum Place {
    Files(Vec<PathBuf>),
    Npz(NpyRows),
    Shards(ImageSet),
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [h, w] = self.0.size;
        write!(f, "{} pictures of {h} x {w} in {}", self.0.len, self.0.path.display())
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
                let side = set.resolution() as i64;
                let hashes: Vec<&str> = set.dataset().shards.iter().map(|s| s.sha256.as_str()).collect();
                Inner { path: path.to_owned(), size: [side, side], len: set.len() as i64, fingerprint: digest(&hashes), place: Place::Shards(set) }
            }
            (true, false) => folder(path)?,
        };
        Ok(Pictures(Rc::new(inner)))
    }

    /// How many there are.
    pub fn len(&self) -> i64 {
        self.0.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Height and width.
    pub fn size(&self) -> [i64; 2] {
        self.0.size
    }

    /// The paths of the pictures below the folder, with `/`; empty for sets that have none.
    pub fn names(&self) -> Vec<String> {
        let Place::Files(files) = &self.0.place else { return Vec::new() };
        files.iter().map(|f| relative(&self.0.path, f)).collect()
    }

    /// Changes when the pictures do: of archives and shards by the sums in them, of folders as far as names, sizes and times of files tell.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// What they are, and where a run of ours drew or cut them, what from. Of other folders as far as names, sizes and times of files tell.
    ///
    /// # Errors
    /// `E0302` when the record beside them is damaged.
    pub fn origin(&self) -> Result<Origin> {
        let Inner { path, place, size: [h, w], len, fingerprint } = &*self.0;
        match place {
            Place::Shards(set) => Ok(set.origin()),
            Place::Npz(_) | Place::Files(_) => {
                Ok(origin_of(path)?
                    .unwrap_or_else(|| Origin::new("pictures", path).about(format!("{len} pictures of {h} x {w}")).with_id(fingerprint)))
            }
        }
    }

    /// Pictures `start .. start + n`: u8 `[n, 3, H, W]`.
    ///
    /// # Errors
    /// `E0202` for pictures that are not there, `E0301` or `E0302` when one cannot be read or is of another size than the first.
    pub fn read(&self, start: i64, n: i64) -> Result<Tensor> {
        let Inner { place, size: [h, w], len, .. } = &*self.0;
        if start < 0 || n < 0 || start.checked_add(n).is_none_or(|end| end > *len) {
            return Err(Error::value("read", format!("pictures {start} to {start}+{n} of {len}")));
        }
        match place {
            Place::Npz(rows) => rows.read(start, n)?.permute(&[0, 3, 1, 2])?.contiguous(),
            Place::Shards(set) => {
                let positions: Vec<usize> = (start..start + n).map(|i| i as usize).collect();
                set.gather(&positions)?.get("images").cloned()
            }
            Place::Files(files) => {
                let (start, n) = (start as usize, n as usize);
                let decoded: Vec<Vec<u8>> = files[start..start + n].par_iter().map(|f| pixels(f, [*h, *w], &files[0])).collect::<Result<_>>()?;
                Tensor::from_vec(&decoded.concat(), &[n as i64, *h, *w, 3])?.permute(&[0, 3, 1, 2])?.contiguous()
            }
        }
    }
}

/// One file's pixels, which must be as many as the first's.
fn pixels(file: &Path, size: [i64; 2], first: &Path) -> Result<Vec<u8>> {
    let p = read_picture(file)?;
    let own = [p.height as i64, p.width as i64];
    if own == size {
        return Ok(p.rgb);
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
    let mut skipped = Vec::new();
    let found = list(path, &mut skipped)?;
    if let Some(bad) = skipped.first() {
        return Err(Error::data(path, format!("`{}`: {}", bad.path, bad.reason)));
    }
    let Some((first, _, _)) = found.first() else {
        return Err(Error::data(path, "no picture in this folder or below it"));
    };
    let p = read_picture(first)?;
    let names: Vec<String> = found.iter().map(|(file, name, size)| format!("{name} {size} {}", files::changed(file))).collect();
    Ok(Inner {
        path: path.to_owned(),
        size: [p.height as i64, p.width as i64],
        len: found.len() as i64,
        fingerprint: digest(&names.iter().map(String::as_str).collect::<Vec<_>>()),
        place: Place::Files(found.into_iter().map(|f| f.0).collect()),
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
    Ok(Inner { path: path.to_owned(), size: [h, w], len: n, fingerprint, place: Place::Npz(rows) })
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
