//! Pictures, in a folder or packed, to shards of centre crops.
//!
//! Shard `k` holds the pictures `k * shard_size ..` of the sorted source, without the broken ones; so the bytes of a shard
//! depend on nothing but the source and the options, and an interrupted run goes on behind its last whole shard.

use super::archive::Columns;
use super::choose::Pick;
use super::crop::{center_crop, mirror, to_planes};
use super::decode::{Lost, PixelRule, decode};
use super::files::{Column, remove_leftovers, write_json, write_shard, write_whole};
use super::manifest::{Dataset, FORMAT_VERSION, LostCounts, NAMED, ShardInfo, Skipped, name_skipped};
use super::open_source::{Wanted, open_source};
use super::shared::Ranks;
use super::size::{Size, is_square};
use super::source::{Item, Limit, Source};
use crate::error::{Error, Result};
use crate::files;
use crate::interrupt;
use crate::progress::{Progress, human};
use crate::torch::DType;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// What [`preprocess`] can be told.
#[derive(Debug, Clone)]
pub struct PreprocessOptions {
    /// The side of the crops, in pixels; their height where `width` is another.
    pub resolution: usize,
    /// The width of the crops; 0 for squares.
    pub width: usize,
    /// Threads; 0 is one for each core.
    pub workers: usize,
    /// At most so many pictures.
    pub max_images: Option<usize>,
    /// Which of them where there are more.
    pub pick: Pick,
    /// Of the draw among them.
    pub seed: u64,
    /// What becomes of 16-bit grey.
    pub pixels: PixelRule,
    /// Write the mirror image of every picture as well, behind all of them: with `n` pictures, `n + i` is `i` mirrored.
    pub flip: bool,
    /// Source pictures in a shard; 0 chooses about 256 MiB.
    pub shard_size: usize,
    /// The columns of `attributes.csv`; `None` takes all.
    pub attributes: Option<Vec<String>>,
    /// Of parquet, the column of the pictures.
    pub image_column: String,
    /// Of parquet, the column of the labels; empty where there are none.
    pub label_column: String,
    /// Fail at the first broken picture instead of skipping it.
    pub strict: bool,
    /// No progress and no remarks on stderr.
    pub quiet: bool,
}

impl Default for PreprocessOptions {
    fn default() -> Self {
        PreprocessOptions {
            resolution: 256,
            width: 0,
            workers: 0,
            max_images: None,
            pick: Pick::default(),
            seed: 0,
            pixels: PixelRule::default(),
            flip: false,
            shard_size: 0,
            attributes: None,
            image_column: "image".into(),
            label_column: "label".into(),
            strict: false,
            quiet: false,
        }
    }
}

/// What [`preprocess`] did.
#[derive(Debug, Clone)]
pub struct PreprocessReport {
    /// The data set folder.
    pub folder: PathBuf,
    /// What `dataset.json` says now.
    pub dataset: Dataset,
    /// Where the classes came from, in words.
    pub labelling: String,
    /// Pictures that an earlier run had already done.
    pub resumed: usize,
    /// How long this run took.
    pub seconds: f64,
    /// Pictures a second of this run.
    pub rate: f64,
}

/// The state of an unfinished run, written after each shard.
#[derive(Serialize, Deserialize)]
struct Partial {
    plan: Plan,
    shards: Vec<Done>,
}

/// Everything that decides about the bytes of the shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plan {
    version: u32,
    resolution: usize,
    #[serde(default, skip_serializing_if = "is_square")]
    width: usize,
    shard_size: usize,
    source_count: usize,
    source: String,
    classes: Vec<String>,
    attributes: Vec<super::manifest::Attribute>,
    #[serde(default)]
    pixels: PixelRule,
}

impl Plan {
    fn size(&self) -> Size {
        Size::of_kept(self.resolution, self.width)
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Done {
    info: ShardInfo,
    skipped: Vec<Skipped>,
    class_counts: Vec<usize>,
    #[serde(default)]
    lost: LostCounts,
}

const PARTIAL: &str = "dataset.partial.json";

/// Turns pictures into a data set folder: a folder tree, a tar or zip of one, WebDataset's shards, parquet, or REPA-E's `images.h5`.
///
/// Of a tree classes are the sorted names of the top-level folders; `dataset.json` with `{"labels": [[path, class], ..]}` in the
/// source overrides them and then says which pictures there are. `attributes.csv` in the source (first column the picture's
/// path or file name, then one column for each factor) gives every picture its attributes. The destination gets
/// `images-00000.safetensors` ... (`images` u8 `[N, 3, H, W]`, `labels` i64 `[N]`, `attributes` u8 `[N, A]`), `files.txt`
/// (the source path of each picture, one in a line) and `dataset.json`. A run that was killed goes on when it is started
/// again with the same options, and gives the same bytes. Several ranks make a shard each in turn, and come to the same bytes as one process.
///
/// The crop is that of openai/guided-diffusion, see [`center_crop`].
///
/// # Errors
/// `E0301` for a missing folder or a failed read or write (a full disk), `E0302` for a folder without pictures, a source
/// that does not fit what the destination was begun with, or, with `strict`, a broken picture; `E0901` when interrupted.
pub fn preprocess(source: impl AsRef<Path>, destination: impl AsRef<Path>, options: &PreprocessOptions) -> Result<PreprocessReport> {
    let ranks = Ranks::here();
    // What the others would say the first says.
    let options = &PreprocessOptions { quiet: options.quiet || !ranks.is_first(), workers: ranks.threads(options.workers), ..options.clone() };
    let (root, folder) = (source.as_ref(), destination.as_ref());
    let start = Instant::now();
    let size = Size::of_options("preprocess", options.resolution, options.width)?;
    let limit = Limit { most: options.max_images, pick: options.pick, seed: options.seed };
    let columns = Columns { image: options.image_column.clone(), label: options.label_column.clone() };
    let mut listed = open_source(root, &Wanted { limit, attributes: options.attributes.as_deref(), columns })?;
    if options.flip {
        listed.add_flips();
    }
    if options.strict
        && let Some(s) = listed.skipped.first()
    {
        return Err(Error::data(root.join(&s.path), s.reason.clone()));
    }
    let shard_size = if options.shard_size > 0 { options.shard_size } else { ((256 << 20) / size.bytes()).max(1) };
    let plan = Plan {
        version: FORMAT_VERSION,
        resolution: size.height,
        width: size.width_kept(),
        shard_size,
        source_count: listed.items.len(),
        source: listed.hash(),
        classes: listed.classes.clone(),
        attributes: listed.attributes.clone(),
        pixels: options.pixels,
    };
    ranks.agree(&plan)?;
    let report = |dataset: Dataset, resumed: usize| {
        let seconds = start.elapsed().as_secs_f64();
        let rate = (plan.source_count - resumed) as f64 / seconds.max(1e-9);
        PreprocessReport { folder: folder.to_owned(), dataset, labelling: listed.labelling.clone(), resumed, seconds, rate }
    };
    let manifest = folder.join("dataset.json");
    // None where all of it is there.
    let begun = ranks.first(|| {
        files::create_dir(folder)?;
        let partial = folder.join(PARTIAL);
        if manifest.is_file() {
            return Ok(None);
        }
        remove_leftovers(folder, "images-")?;
        remove_leftovers(folder, "dataset")?;
        let done = resume(folder, &partial, &plan, &listed)?;
        write_json(&partial, &Partial { plan: plan.clone(), shards: done.clone() })?;
        Ok(Some(done))
    })?;
    let Some(mut done) = begun else {
        let dataset: Dataset = files::read_json(&manifest)?;
        same_plan(&manifest, &plan_of(&dataset), &plan)?;
        super::ImageSet::open(folder)?;
        if ranks.is_first() {
            say_newer(&listed, &manifest, folder);
        }
        return Ok(report(dataset, plan.source_count));
    };
    let partial = folder.join(PARTIAL);
    let shards = plan.source_count.div_ceil(shard_size);
    let resumed = (done.len() * shard_size).min(plan.source_count);
    let mut job = Job::new(&listed, &plan, options, resumed, done.iter().map(|d| d.skipped.len()).sum())?;
    if resumed > 0 {
        job.say(&format!("continuing in {}: {} of {shards} shards are there", folder.display(), done.len()));
    }
    while done.len() < shards {
        let made = ranks.next(done.len(), shards, |k| {
            let first = k * shard_size;
            job.shard(folder, k, first, &listed.items[first..(first + shard_size).min(plan.source_count)])
        })?;
        for (shard, is_own) in made {
            if !is_own {
                job.heard(&shard);
            }
            done.push(shard);
        }
        if ranks.is_first() {
            write_json(&partial, &Partial { plan: plan.clone(), shards: done.clone() })?;
        }
    }
    job.finish();
    let dataset = ranks.first(|| {
        let dataset = finish(folder, &listed, &plan, &done)?;
        files::remove(&partial)?;
        Ok(dataset)
    })?;
    let report = report(dataset, resumed);
    if !options.quiet {
        let d = &report.dataset;
        let skipped = if d.skipped.is_empty() { String::new() } else { format!(", {} skipped", d.skipped.len()) };
        let say = |line: String| crate::space::say(&line);
        say(format!("  {}: {} pictures of {size}, {}{skipped}", folder.display(), d.count, report.labelling));
        say(format!("  {} at {:.0} pictures/s", human(report.seconds), report.rate));
        d.lost.words().into_iter().for_each(|line| say(format!("  {line}")));
    }
    Ok(report)
}

/// Says which pictures were written later than a record of them: by their names and sizes they are the same, and they may hold others.
fn say_newer(listed: &Source, record: &Path, folder: &Path) {
    let made = files::changed(record);
    let (newer, what) = listed.newer_than(made);
    if let Some(first) = newer.first() {
        let many = if newer.len() == 1 { format!("1 {what} was") } else { format!("{} {what}s were", newer.len()) };
        crate::space::say(&format!(
            "note: {many} written after {} was (the first is {first}): it holds pictures as they were; to make them anew, give another folder, or remove this one",
            folder.display()
        ));
    }
}

/// The plan that made a finished data set.
fn plan_of(d: &Dataset) -> Plan {
    Plan {
        version: d.version,
        resolution: d.resolution,
        width: d.width,
        shard_size: d.shard_size,
        source_count: d.source_count,
        source: d.source.clone(),
        classes: d.classes.clone(),
        attributes: d.attributes.clone(),
        pixels: d.pixels,
    }
}

/// Refuses to mix two sets in one folder, naming the first difference.
fn same_plan(file: &Path, old: &Plan, new: &Plan) -> Result<()> {
    let difference = match () {
        () if old.version != new.version => format!("format version {} against {}", old.version, new.version),
        () if old.resolution != new.resolution => format!("`resolution` {} against {}", old.resolution, new.resolution),
        () if old.width != new.width => format!("pictures of {} against {}", old.size(), new.size()),
        () if old.shard_size != new.shard_size => format!("`shard_size` {} against {}", old.shard_size, new.shard_size),
        () if old.pixels != new.pixels => format!("`pixels` {} against {}", old.pixels.name(), new.pixels.name()),
        () if old.source_count != new.source_count => format!("{} source pictures against {}", old.source_count, new.source_count),
        () if old.classes != new.classes => format!("classes {:?} against {:?}", old.classes, new.classes),
        () if old.attributes != new.attributes => "other attributes".to_owned(),
        () if old.source != new.source => "other source pictures (path, class or size)".to_owned(),
        () => return Ok(()),
    };
    Err(Error::data(file, format!("this folder was made with other options: {difference} now"))
        .help("give another destination, or remove this one to make it again; folders of earlier versions with `max_images` hold what `pick: \"first\"` (--pick first) takes"))
}

/// The whole shards of an earlier run with the same plan.
fn resume(folder: &Path, partial: &Path, plan: &Plan, listed: &Source) -> Result<Vec<Done>> {
    if !partial.is_file() {
        if files::list(folder)?.iter().any(|(name, _)| name.starts_with("images-") && name.ends_with(".safetensors")) {
            return Err(Error::data(folder, "there are shards in this folder, but neither dataset.json nor a begun run")
                .help("give another destination, or remove this one to make it again"));
        }
        return Ok(Vec::new());
    }
    let old: Partial = files::read_json(partial)?;
    same_plan(partial, &old.plan, plan)?;
    say_newer(listed, partial, folder);
    let whole = |d: &Done| files::size(&folder.join(&d.info.file)).is_ok_and(|n| n == d.info.bytes);
    Ok(old.shards.into_iter().take_while(whole).collect())
}

fn finish(folder: &Path, source: &Source, plan: &Plan, done: &[Done]) -> Result<Dataset> {
    let skipped: Vec<Skipped> = source.skipped.iter().chain(done.iter().flat_map(|d| &d.skipped)).cloned().collect();
    let count = done.iter().map(|d| d.info.count).sum();
    if count == 0 {
        let first = skipped.first().map_or(String::new(), |s| format!("; the first is `{}`: {}", s.path, s.reason));
        return Err(Error::data(folder, format!("none of the {} pictures can be read{first}", plan.source_count)));
    }
    let broken: std::collections::HashSet<&str> = skipped.iter().map(|s| s.path.as_str()).collect();
    write_whole(&folder.join("files.txt"), |out| {
        source.items.iter().filter(|i| !broken.contains(i.name.as_str())).try_for_each(|i| writeln!(out, "{}", i.name.replace('\n', "\\n")))
    })?;
    let (mut class_counts, mut lost) = (vec![0; plan.classes.len()], LostCounts::default());
    for d in done {
        lost += d.lost;
        class_counts.iter_mut().zip(&d.class_counts).for_each(|(a, b)| *a += b);
    }
    let dataset = Dataset {
        version: plan.version,
        resolution: plan.resolution,
        width: plan.width,
        count,
        classes: plan.classes.clone(),
        class_counts,
        attributes: plan.attributes.clone(),
        pixels: plan.pixels,
        lost,
        shards: done.iter().map(|d| d.info.clone()).collect(),
        source: plan.source.clone(),
        source_count: plan.source_count,
        shard_size: plan.shard_size,
        skipped,
    };
    write_json(&folder.join("dataset.json"), &dataset)?;
    Ok(dataset)
}

/// The threads and buffers of one run.
struct Job<'a> {
    source: &'a Source,
    size: Size,
    pixel_rule: PixelRule,
    strict: bool,
    quiet: bool,
    pool: rayon::ThreadPool,
    progress: Mutex<Counter>,
    pixels: Vec<u8>,
    /// By what right the threads open files.
    pass: files::Pass,
}

/// Each thread takes memory of its own.
fn within_threads(workers: usize) -> Result<()> {
    const MOST: usize = 1024;
    if workers <= MOST { Ok(()) } else { Err(Error::value("preprocess", format!("`workers` must be at most {MOST}, got {workers}"))) }
}

struct Counter {
    bar: Option<Progress>,
    done: usize,
    skipped: usize,
}

impl<'a> Job<'a> {
    fn new(source: &'a Source, plan: &Plan, options: &PreprocessOptions, resumed: usize, skipped: usize) -> Result<Job<'a>> {
        within_threads(options.workers)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.workers).thread_name(|i| format!("preprocess-{i}"));
        let pool = pool.build().map_err(|e| Error::run(format!("cannot start the threads of preprocess: {e}")))?;
        let bar = (!options.quiet).then(|| Progress::new("preprocess", "pictures", resumed as u64, plan.source_count as u64));
        let job = Job {
            source,
            size: plan.size(),
            pixel_rule: plan.pixels,
            strict: options.strict,
            quiet: options.quiet,
            pool,
            progress: Mutex::new(Counter { bar, done: resumed, skipped }),
            pixels: Vec::new(),
            pass: files::Pass::here(),
        };
        source.chosen.iter().chain(&source.left_out).for_each(|line| job.say(line));
        name_skipped(&source.skipped, "; dataset.json will name them all", &|line| job.say(line));
        Ok(job)
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            let counter = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            counter.bar.as_ref().map_or_else(|| crate::space::say(line), |b| b.println(&format!("  {line}")));
        }
    }

    /// Counts a shard that another rank has made, and names what it skipped.
    fn heard(&self, done: &Done) {
        let mut counter = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counter.done += done.info.count + done.skipped.len();
        for s in &done.skipped {
            counter.skipped += 1;
            if counter.skipped <= NAMED
                && let Some(bar) = &counter.bar
            {
                bar.println(&format!("  skipped {}: {}", s.path, s.reason));
            }
        }
        let (now, remark) = (counter.done as u64, if counter.skipped > 0 { format!("{} skipped", counter.skipped) } else { String::new() });
        if let Some(bar) = &mut counter.bar {
            bar.set(now, &remark);
        }
    }

    fn finish(&mut self) {
        let counter = self.progress.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = &mut counter.bar {
            bar.finish("");
        }
    }

    /// Makes one shard from its pictures.
    fn shard(&mut self, folder: &Path, k: usize, first: usize, items: &[Item]) -> Result<Done> {
        let size = self.size.bytes();
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.clear();
        let bytes = items.len() * size;
        pixels
            .try_reserve_exact(bytes)
            .map_err(|_| Error::run(format!("not enough memory for a shard of {bytes} bytes")).help("choose a smaller `shard_size`"))?;
        pixels.resize(bytes, 0);
        let this = &*self;
        let made: Vec<Result<std::result::Result<Lost, Skipped>>> =
            this.pool.install(|| items.par_iter().zip(pixels.par_chunks_exact_mut(size)).map(|(item, planes)| this.picture(item, planes)).collect());
        let made = made.into_iter().collect::<Result<Vec<_>>>()?;
        let (mut kept, mut labels, mut attributes) = (0, Vec::new(), Vec::new());
        let (mut skipped, mut class_counts, mut lost) = (Vec::new(), vec![0; self.source.classes.len()], LostCounts::default());
        let factors = self.source.attributes.len();
        for (i, (item, made)) in items.iter().zip(made).enumerate() {
            match made {
                Ok(one) => lost += one.into(),
                Err(broken) => {
                    skipped.push(broken);
                    continue;
                }
            }
            pixels.copy_within(i * size..(i + 1) * size, kept * size);
            kept += 1;
            labels.extend_from_slice(&(item.label as i64).to_le_bytes());
            class_counts[item.label] += 1;
            attributes.extend_from_slice(&self.source.values[(first + i) * factors..][..factors]);
        }
        let Size { height, width } = self.size;
        let mut columns = vec![
            Column { name: "images".into(), dtype: DType::Uint8, shape: vec![kept, 3, height, width], data: &pixels[..kept * size] },
            Column { name: "labels".into(), dtype: DType::Int64, shape: vec![kept], data: &labels },
        ];
        if factors > 0 {
            columns.push(Column { name: "attributes".into(), dtype: DType::Uint8, shape: vec![kept, factors], data: &attributes });
        }
        let file = format!("images-{k:05}.safetensors");
        let written = write_shard(&folder.join(&file), &columns)?;
        self.pixels = pixels;
        Ok(Done { info: ShardInfo { file, count: kept, bytes: written.bytes, sha256: written.sha256 }, skipped, class_counts, lost })
    }

    /// Decodes and crops one picture into its planes, and says what it lost; a broken one is named.
    fn picture(&self, item: &Item, planes: &mut [u8]) -> Result<std::result::Result<Lost, Skipped>> {
        interrupt::check()?;
        let _pass = self.pass.enter();
        let made = self.source.read(item).and_then(|bytes| {
            let decoded = decode(&bytes, self.pixel_rule).map_err(|reason| Error::data(&item.path, reason))?;
            Ok((center_crop(&decoded.picture, self.size)?, decoded.lost))
        });
        let made = match made {
            Ok((crop, lost)) => {
                to_planes(&crop.rgb, planes);
                if item.flipped {
                    mirror(planes, self.size.width);
                }
                Ok(lost)
            }
            Err(e) if self.strict => return Err(e.help("without `strict` such a picture is named, counted and skipped")),
            Err(e) => Err(Skipped { path: item.name.clone(), reason: reason(&e) }),
        };
        let mut counter = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counter.done += 1;
        let done = counter.done as u64;
        if let Err(s) = &made {
            counter.skipped += 1;
            let line = match counter.skipped {
                0..=NAMED => format!("  skipped {}: {}", s.path, s.reason),
                n if n == NAMED + 1 => "  skipped more; dataset.json will name them all".to_owned(),
                _ => String::new(),
            };
            if let Some(bar) = counter.bar.as_ref().filter(|_| !line.is_empty()) {
                bar.println(&line);
            }
        }
        let remark = if counter.skipped > 0 { format!("{} skipped", counter.skipped) } else { String::new() };
        if let Some(bar) = &mut counter.bar {
            bar.set(done, &remark);
        }
        Ok(made)
    }
}

/// The reason alone: the path stands beside it.
fn reason(e: &Error) -> String {
    match e.kind() {
        crate::error::ErrorKind::Data { message, .. } | crate::error::ErrorKind::Value { message, .. } => message.clone(),
        crate::error::ErrorKind::Io { source, .. } => source.to_string(),
        _ => e.to_string(),
    }
}
