//! Latents of a container as a folder of our own.

use crate::data::hdf5::{Container, Kind, keys};
use crate::data::source::{Limit, Source};
use crate::data::{ImageSet, LatentOptions, LatentSet, LatentWriter, Samples};
use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};
use std::path::Path;

/// Latents that are read before they are handed on.
const BATCH: usize = 64;

/// Where the labels of latents come from. Pictures and latents are paired by their positions in the sorted lists, as in the reference.
#[derive(Debug, Clone, Copy)]
pub enum LatentLabels<'a> {
    /// The container's own `dataset.json`.
    Own,
    /// The container of the pictures.
    Container(&'a Path),
    /// A folder of image shards.
    Images(&'a ImageSet),
}

/// The digits at the end of a key's name: `7` of `00000/img-mean-std-00000007.npy`.
fn number(key: &str) -> Option<u64> {
    let stem = key.rsplit('/').next()?.rsplit_once('.')?.0;
    let digits = stem.len() - stem.chars().rev().take_while(char::is_ascii_digit).count();
    stem[digits..].parse().ok()
}

/// Writes the latents of `path` into the folder `dst`, with labels and statistics. An interrupted import goes on.
///
/// The shape in `options` is taken from the container, as are its classes when it or the pictures have any.
///
/// # Errors
/// `E0301` when a file cannot be read or written; `E0302` when the container holds no latents, they do not fit each other or the pictures,
/// have values that are not finite or negative deviations, or this build reads no HDF5.
pub fn import_latents(path: &Path, dst: &Path, from: LatentLabels, mut options: LatentOptions) -> Result<LatentSet> {
    let container = Container::open(path)?;
    let names = keys(&container, path, &["npy"], &mut Vec::new())?;
    let bad = |message: String| Error::data(path, message);
    let Some(first) = names.first() else {
        return Err(bad("it holds no latents".into()).help("keys such as `00000/img-mean-std-00000000.npy` are looked for"));
    };
    let [double, h, w] = *container.entries()[first].shape.as_slice() else {
        return Err(bad(format!("`{first}` is {:?}, expected [2C, h, w]: mean and standard deviation", container.entries()[first].shape)));
    };
    for name in &names {
        let entry = &container.entries()[name];
        if entry.shape != [double, h, w] || !double.is_multiple_of(2) || !matches!(entry.kind, Kind::Number(DType::Float | DType::Double)) {
            return Err(bad(format!(
                "`{name}` is {:?} {:?}, expected floats [2C, h, w] as `{first}`: [{double}, {h}, {w}]",
                entry.kind, entry.shape
            )));
        }
    }
    options.shape = [double / 2, h, w];
    let source = match from {
        LatentLabels::Images(set) => {
            if set.len() != names.len() {
                return Err(bad(format!("{} latents for {} pictures in `{}`", names.len(), set.len(), set.folder().display())));
            }
            options.classes = set.classes().to_vec();
            options.attributes = set.attributes().to_vec();
            options.made_from.insert("images".into(), set.origin());
            None
        }
        LatentLabels::Container(images) => Some(Source::in_container(images, Limit::default(), None)?),
        LatentLabels::Own => Some(Source::of_container(path, &container, names.clone(), Vec::new())?),
    };
    if let Some(source) = &source {
        if matches!(from, LatentLabels::Own) && source.items.len() != names.len() {
            return Err(bad(format!("{} latents, {} of them with a label", names.len(), source.items.len())));
        }
        if source.items.len() != names.len() {
            return Err(bad(format!("{} latents for {} pictures", names.len(), source.items.len())));
        }
        if source.classes.is_empty() || !source.labelled {
            return Err(bad("nothing says which classes the latents have".into())
                .help("give the pictures' container or shards: `data::import_latents(latents, dst, #{images: \"images.h5\"})`"));
        }
        if let Some((item, name)) =
            source.items.iter().zip(&names).find(|(i, n)| matches!((number(&i.name), number(n)), (Some(a), Some(b)) if a != b))
        {
            return Err(bad(format!("`{name}` is at the position of the picture `{}`: they do not belong together", item.name)));
        }
        options.classes = source.classes.clone();
    }
    options.total = names.len();
    // A container keeps no sum of its content: its length and time stand for it.
    let id = crate::origin::hash_of(&[&crate::files::size(path)?.to_string(), &crate::files::changed(path).to_string()]);
    options.made_from.insert("container".into(), crate::origin::Origin::new("container", path).with_id(id));
    let writer = LatentWriter::open(dst, options)?;
    while !writer.is_complete() && writer.len() < names.len() {
        crate::interrupt::check()?;
        let at = writer.len()..(writer.len() + BATCH).min(names.len());
        let rows: Vec<Tensor> = names[at.clone()].iter().map(|n| container.tensor(n)?.to_dtype(DType::Float)).collect::<Result<_>>()?;
        let both = Tensor::stack(&rows, 0)?;
        let c = (double / 2) as i64;
        let (mean, std) = (both.narrow(1, 0, c)?.contiguous()?, both.narrow(1, c, c)?.contiguous()?);
        if std.to_vec_f32()?.iter().any(|s| *s < 0.0) {
            return Err(bad(format!("among the latents {at:?} are negative standard deviations: the second half is not mean and std")));
        }
        let positions: Vec<usize> = at.clone().collect();
        let index: Vec<i64> = positions.iter().map(|i| *i as i64).collect();
        let (labels, attributes) = match (&source, from) {
            (Some(source), _) => (Tensor::from_slice(&source.items[at].iter().map(|i| i.label as i64).collect::<Vec<_>>())?, None),
            (None, LatentLabels::Images(set)) => {
                let batch = set.gather(&positions)?;
                (batch.get("labels")?.clone(), batch.tensors().get("attributes").cloned())
            }
            (None, _) => unreachable!("only shards have no list"),
        };
        writer.push(&mean, &std, &labels, &Tensor::from_slice(&index)?, attributes.as_ref(), &[])?;
    }
    writer.finish()
}
