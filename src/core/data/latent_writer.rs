//! Writing a cache of latents: shards, then `latents.json` with the statistics.

use super::LatentSet;
use super::files::{Column, remove_leftovers, write_json, write_shard};
use super::latent_folder::{Held, discard, held, other_latents};
use super::latent_layout::{Features, Layout, Precision};
use super::latent_sums::{Sums, rounding, statistics, sums};
use super::manifest::{Attribute, FORMAT_VERSION, Latents, ShardInfo, check_labels};
use crate::dist;
use crate::error::{Error, Result};
use crate::files;
use crate::origin::{Made, listed};
use crate::torch::{DType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a latent writer must know. The same values continue an interrupted run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatentOptions {
    /// A name for people: which VAE, which data.
    pub name: String,
    /// The hash of the VAE's weights; may be empty.
    pub vae: String,
    /// `[C, h, w]` of one latent.
    pub shape: [usize; 3],
    /// Latents in each shard but the last; 0 chooses about 256 MiB.
    pub shard_size: usize,
    /// The class of each label; may be empty.
    pub classes: Vec<String>,
    /// What the columns of `attributes` mean; empty without attributes.
    pub attributes: Vec<Attribute>,
    /// How many latents there will be; 0 where that is not known. A finished folder with fewer or more is another one.
    #[serde(default)]
    pub total: usize,
    /// What they are made from: `images`, and the `vae` with its path.
    #[serde(default)]
    pub made_from: Made,
    /// The settings that decide about them.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// What moments and features are kept as.
    #[serde(default)]
    pub dtype: Precision,
    /// The vision models whose features come with them.
    #[serde(default)]
    pub features: Vec<Features>,
    /// Remove other latents in the folder, instead of an error.
    #[serde(skip)]
    pub force: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) info: ShardInfo,
    sums: Sums,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Partial {
    pub(super) options: LatentOptions,
    pub(super) shards: Vec<Done>,
}

/// Writes latents into a folder. Clones are the same writer.
#[derive(Clone)]
pub struct LatentWriter(Rc<RefCell<Writer>>);

struct Writer {
    folder: PathBuf,
    options: LatentOptions,
    done: Vec<Done>,
    rows: Rows,
    complete: Option<usize>,
    /// By what right the folder is written.
    _held: files::Held,
}

/// The shard that is being filled.
#[derive(Default)]
struct Rows {
    count: usize,
    mean: Vec<u8>,
    std: Vec<u8>,
    labels: Vec<u8>,
    index: Vec<u8>,
    attributes: Vec<u8>,
    /// Of each vision model.
    features: Vec<Vec<u8>>,
    /// How far the means are from what they were: the sum of the squares, and the largest.
    squared: f64,
    worst: f64,
}

pub(super) const PARTIAL: &str = "latents.partial.json";

impl std::fmt::Debug for LatentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "writer of latents in {}, {} there", self.0.borrow().folder.display(), self.len())
    }
}

impl LatentWriter {
    /// Begins a folder, or continues the one that an interrupted run with the same options left behind: then
    /// [`LatentWriter::len`] says how many samples are there already and need not be pushed again.
    ///
    /// # Errors
    /// `E0202` for options out of range, `E0301` when the folder cannot be made, `E0302` when it holds other latents.
    pub fn open(folder: impl AsRef<Path>, mut options: LatentOptions) -> Result<LatentWriter> {
        dist::first_rank_only("writing latents")?;
        let folder = folder.as_ref();
        let [c, h, w] = options.shape;
        if c == 0 || h == 0 || w == 0 || options.shape.iter().any(|n| *n > 1 << 20) {
            return Err(Error::value("latent_writer", format!("a latent of shape {:?}", options.shape)));
        }
        if options.shard_size == 0 {
            let numbers = 2 * c * h * w + options.features.iter().map(|f| f.tokens * f.dim).sum::<usize>();
            options.shard_size = ((256 << 20) / (options.dtype.size() * numbers).max(1)).max(1);
        }
        files::create_dir(folder)?;
        let mut writer =
            Writer { folder: folder.to_owned(), options, done: Vec::new(), rows: Rows::default(), complete: None, _held: files::Held::here() };
        let held = held(folder)?;
        let other = held.as_ref().map_or_else(Vec::new, |h| other_latents(folder, h, &writer.options));
        if !other.is_empty() && !writer.options.force {
            return Err(Error::data(folder, format!("holds other latents than these:{}", listed(&other)))
                .help("name another folder, or have them made anew: `--force`, in a script `#{force: true}`"));
        }
        match held {
            Some(_) if !other.is_empty() => {
                crate::space::say(&format!("warning: the latents in `{}` are made anew:{}", folder.display(), listed(&other)));
                discard(folder)?;
            }
            Some(Held { complete: Some(count), .. }) => writer.complete = Some(count),
            Some(Held { shards, .. }) => {
                let whole = |d: &Done| files::size(&folder.join(&d.info.file)).is_ok_and(|n| n == d.info.bytes);
                // A short shard is the last one of a run that was stopped while finishing: what follows it may differ now.
                writer.done = shards.into_iter().take_while(|d| whole(d) && d.info.count == writer.options.shard_size).collect();
            }
            None => {}
        }
        remove_leftovers(folder, "latents")?;
        Ok(LatentWriter(Rc::new(RefCell::new(writer))))
    }

    /// How many samples are in the folder or about to be.
    pub fn len(&self) -> usize {
        let w = self.0.borrow();
        w.complete.unwrap_or_else(|| w.written() + w.rows.count)
    }

    /// Whether nothing was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the folder is finished, by this writer or an earlier one.
    pub fn is_complete(&self) -> bool {
        self.0.borrow().complete.is_some()
    }

    /// Adds posteriors: `mean` and `std` `[B, C, h, w]`, `labels` and `index` `[B]`, `attributes` u8 `[B, A]`, and for each vision model of
    /// [`LatentOptions::features`] its tokens `[B, T, D]`.
    ///
    /// `index` says which picture of the image set each latent belongs to.
    ///
    /// # Errors
    /// `E0202` for shapes that do not fit, values that are not finite or a finished folder; `E0301` when a shard cannot
    /// be written.
    pub fn push(&self, mean: &Tensor, std: &Tensor, labels: &Tensor, index: &Tensor, attributes: Option<&Tensor>, features: &[Tensor]) -> Result<()> {
        let features = self.0.borrow().features(mean, features)?;
        self.0.borrow_mut().push(mean, std, labels, index, attributes, &features)
    }

    /// Writes the last shard and `latents.json`, and opens the folder.
    ///
    /// # Errors
    /// `E0202` when nothing was pushed, `E0301` when a file cannot be written.
    pub fn finish(&self) -> Result<LatentSet> {
        let mut w = self.0.borrow_mut();
        w.finish()?;
        LatentSet::open(&w.folder)
    }
}

impl Writer {
    fn written(&self) -> usize {
        self.done.iter().map(|d| d.info.count).sum()
    }

    /// The numbers of the features that come with a batch.
    fn features(&self, mean: &Tensor, features: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        let bad = |message: String| Error::value("latent_writer.push", message);
        let wanted = &self.options.features;
        if features.len() != wanted.len() {
            let names: Vec<&str> = wanted.iter().map(|f| f.name.as_str()).collect();
            return Err(bad(format!("`features` are of {} models, the writer was opened for {}: {names:?}", features.len(), wanted.len())));
        }
        let b = mean.size(0)?;
        let one = |(f, t): (&Features, &Tensor)| {
            if t.shape() != [b, f.tokens as i64, f.dim as i64] || !t.is_float() {
                return Err(bad(format!("the features of {} must be a float tensor [{b}, {}, {}], got {}", f.name, f.tokens, f.dim, t.describe())));
            }
            let numbers = t.to_vec_f32()?;
            if numbers.iter().all(|x| x.is_finite()) {
                Ok(numbers)
            } else {
                Err(bad(format!("the features of {} have values that are not finite", f.name)))
            }
        };
        wanted.iter().zip(features).map(one).collect()
    }

    fn push(
        &mut self,
        mean: &Tensor,
        std: &Tensor,
        labels: &Tensor,
        index: &Tensor,
        attributes: Option<&Tensor>,
        features: &[Vec<f32>],
    ) -> Result<()> {
        let bad = |message: String| Error::value("latent_writer.push", message);
        if self.complete.is_some() {
            return Err(bad(format!("`{}` is finished", self.folder.display())).help("`writer.complete` says so before anything is computed"));
        }
        let [c, h, w] = self.options.shape.map(|n| n as i64);
        let (b, ..) = mean.size4()?;
        for (name, t) in [("mean", mean), ("std", std)] {
            if t.shape() != [b, c, h, w] || !t.is_float() {
                return Err(bad(format!("`{name}` must be a float tensor [{b}, {c}, {h}, {w}], got {}", t.describe())));
            }
        }
        for (name, t) in [("labels", labels), ("index", index)] {
            if t.shape() != [b] {
                return Err(bad(format!("`{name}` must be [{b}], got {}", t.describe())));
            }
        }
        let factors = self.options.attributes.len();
        match attributes {
            Some(t) if factors > 0 && t.shape() == [b, factors as i64] && t.dtype() == DType::Uint8 => {}
            None if factors == 0 => {}
            // A set without attribute names does not keep attributes.
            Some(_) if factors == 0 => {}
            got => {
                let got = got.map_or("nothing".into(), Tensor::describe);
                return Err(bad(format!("`attributes` must be [{b}, {factors}] u8, got {got}")));
            }
        }
        let finite = |name: &str, v: Vec<f32>| {
            if v.iter().all(|x| x.is_finite()) { Ok(v) } else { Err(bad(format!("`{name}` has values that are not finite"))) }
        };
        let (mean, std) = (finite("mean", mean.to_vec_f32()?)?, finite("std", std.to_vec_f32()?)?);
        let (labels, index) = (labels.to_vec_i64()?, index.to_vec_i64()?);
        check_labels(&labels, self.options.classes.len()).map_err(bad)?;
        let attributes = attributes.filter(|_| factors > 0).map(Tensor::to_bytes).transpose()?.unwrap_or_default();
        let one = self.options.shape.iter().product::<usize>();
        let precision = self.options.dtype;
        for i in 0..labels.len() {
            let rows = &mut self.rows;
            for x in &mean[i * one..(i + 1) * one] {
                precision.write(*x, &mut rows.mean);
                let error = f64::from(precision.kept(*x)) - f64::from(*x);
                rows.squared += error * error;
                rows.worst = rows.worst.max(error.abs());
            }
            std[i * one..(i + 1) * one].iter().for_each(|x| precision.write(*x, &mut rows.std));
            rows.features.resize(features.len(), Vec::new());
            for ((f, all), kept) in self.options.features.iter().zip(features).zip(&mut rows.features) {
                let size = f.tokens * f.dim;
                all[i * size..(i + 1) * size].iter().for_each(|x| precision.write(*x, kept));
            }
            rows.labels.extend(labels[i].to_le_bytes());
            rows.index.extend(index[i].to_le_bytes());
            rows.attributes.extend_from_slice(&attributes[i * factors..(i + 1) * factors]);
            rows.count += 1;
            if rows.count == self.options.shard_size {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the rows as the next shard and notes it.
    fn flush(&mut self) -> Result<()> {
        let rows = &self.rows;
        let o = &self.options;
        let [c, h, w] = o.shape;
        let mut data: Vec<&[u8]> = vec![&rows.mean, &rows.std, &rows.labels, &rows.index];
        if !o.attributes.is_empty() {
            data.push(&rows.attributes);
        }
        data.extend(rows.features.iter().map(Vec::as_slice));
        let columns: Vec<Column> = Layout { shape: o.shape, precision: o.dtype, attributes: &o.attributes, features: &o.features }
            .fields()
            .into_iter()
            .zip(data)
            .map(|(f, data)| Column { name: f.name, dtype: f.dtype, shape: [vec![rows.count], f.shape].concat(), data })
            .collect();
        let file = format!("latents-{:05}.safetensors", self.done.len());
        let written = write_shard(&self.folder.join(&file), &columns)?;
        let info = ShardInfo { file, count: rows.count, bytes: written.bytes, sha256: written.sha256 };
        let mut sums = sums(c, h * w, o.dtype, &rows.mean, &rows.std);
        (sums.squared, sums.worst) = (rows.squared, rows.worst);
        self.done.push(Done { info, sums });
        self.rows = Rows::default();
        write_json(&self.folder.join(PARTIAL), &Partial { options: self.options.clone(), shards: self.done.clone() })?;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.complete.is_some() {
            return Ok(());
        }
        if self.rows.count > 0 {
            self.flush()?;
        }
        let count = self.written();
        if count == 0 {
            return Err(Error::value("latent_writer.finish", "nothing was pushed"));
        }
        let o = &self.options;
        let stats = statistics(o.shape, count, self.done.iter().map(|d| &d.sums));
        let latents = Latents {
            version: FORMAT_VERSION,
            name: o.name.clone(),
            vae: o.vae.clone(),
            shape: o.shape,
            count,
            classes: o.classes.clone(),
            attributes: o.attributes.clone(),
            shard_size: o.shard_size,
            shards: self.done.iter().map(|d| d.info.clone()).collect(),
            rounding: rounding(o.shape, count, o.dtype, &stats, self.done.iter().map(|d| &d.sums)),
            stats,
            made_from: o.made_from.clone(),
            settings: o.settings.clone(),
            dtype: o.dtype,
            features: o.features.clone(),
        };
        write_json(&self.folder.join("latents.json"), &latents)?;
        let partial = self.folder.join(PARTIAL);
        files::remove(&partial)?;
        self.complete = Some(count);
        Ok(())
    }
}
