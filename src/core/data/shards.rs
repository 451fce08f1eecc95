//! Samples that lie in several mapped shards: which shard, and where in it.

use super::files::Shard;
use super::manifest::ShardInfo;
use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};
use std::ops::Range;
use std::path::Path;

/// What each shard must hold under one name: so many elements of that dtype for each sample.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    /// The shape of one sample.
    pub(crate) shape: Vec<usize>,
}

impl Field {
    fn sample_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.elt_size_in_bytes()
    }
}

/// The shards of one set, all with the same fields.
#[derive(Debug)]
pub(crate) struct Shards {
    fields: Vec<Field>,
    shards: Vec<Shard>,
    /// For each shard, where each field lies.
    ranges: Vec<Vec<Range<usize>>>,
    /// The first sample of each shard, and the total at the end.
    starts: Vec<usize>,
    hashes: Vec<String>,
}

impl Shards {
    /// Maps all shards and checks their sizes and headers.
    pub(crate) fn open(folder: &Path, infos: &[ShardInfo], fields: Vec<Field>) -> Result<Shards> {
        let (mut shards, mut ranges, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for info in infos {
            if info.file.contains(['/', '\\']) || info.file.contains("..") {
                return Err(Error::data(folder, format!("a shard called `{}` would lie outside of the folder", info.file)));
            }
            let shard = Shard::open(&folder.join(&info.file), Some(info.bytes))?;
            let place = |f: &Field| {
                let shape: Vec<Option<usize>> = [info.count].iter().chain(&f.shape).map(|n| Some(*n)).collect();
                shard.column(&f.name, f.dtype, &shape)
            };
            ranges.push(fields.iter().map(place).collect::<Result<Vec<_>>>()?);
            starts.push(starts.last().copied().unwrap_or(0) + info.count);
            shards.push(shard);
        }
        Ok(Shards { fields, shards, ranges, starts, hashes: infos.iter().map(|i| i.sha256.clone()).collect() })
    }

    /// Samples in all shards.
    pub(crate) fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Reads every byte and compares the hashes.
    pub(crate) fn verify(&self) -> Result<()> {
        self.shards.iter().zip(&self.hashes).try_for_each(|(s, h)| {
            crate::interrupt::check()?;
            s.verify(h)
        })
    }

    /// The bytes of samples `position ..` of a field, as many of `count` as lie in the same shard.
    fn run(&self, field: usize, position: usize, count: usize) -> (&[u8], usize) {
        let shard = self.starts.partition_point(|s| *s <= position) - 1;
        let count = count.min(self.starts[shard + 1] - position);
        let size = self.fields[field].sample_bytes();
        let at = self.ranges[shard][field].start + (position - self.starts[shard]) * size;
        (&self.shards[shard].bytes()[at..at + count * size], count)
    }

    /// A tensor of these samples: `[positions.len(), ..]`.
    pub(crate) fn tensor(&self, field: usize, positions: &[usize]) -> Result<Tensor> {
        let f = &self.fields[field];
        let shape: Vec<i64> = std::iter::once(positions.len()).chain(f.shape.iter().copied()).map(|n| n as i64).collect();
        let consecutive = |p: &[usize]| p.windows(2).take_while(|w| w[1] == w[0] + 1).count() + 1;
        let Some(first) = positions.first() else {
            return Tensor::from_bytes(&[], &shape, f.dtype);
        };
        // One run in one shard goes straight from the map into the tensor.
        let (bytes, n) = self.run(field, *first, consecutive(positions));
        if n == positions.len() {
            return Tensor::from_bytes(bytes, &shape, f.dtype);
        }
        let size = positions.len() * f.sample_bytes();
        let mut data = Vec::new();
        data.try_reserve_exact(size).map_err(|_| Error::run(format!("not enough memory for a batch of {size} bytes")))?;
        let mut rest = positions;
        while let Some(p) = rest.first() {
            let (bytes, n) = self.run(field, *p, consecutive(rest));
            data.extend_from_slice(bytes);
            rest = &rest[n..];
        }
        Tensor::from_bytes(&data, &shape, f.dtype)
    }
}
