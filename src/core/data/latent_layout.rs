//! How latents lie in their shards: which tensors, of which kind.

use super::manifest::Attribute;
use super::shards::Field;
use crate::error::{Error, Result};
use crate::torch::DType;
use half::bf16;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The kind of number that moments and features are kept as. A batch has f32 either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As they were computed.
    #[default]
    F32,
    /// Half the disk, 8 bits of precision.
    Bf16,
}

impl Precision {
    /// That of a name.
    ///
    /// # Errors
    /// `E0202` for another one.
    pub fn of(name: &str) -> Result<Precision> {
        match name {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            _ => Err(Error::value("latent_writer", format!("option `dtype` is `{}`", name.escape_debug())).help("f32 or bf16")),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// Whether nothing is rounded.
    pub fn is_whole(&self) -> bool {
        *self == Precision::F32
    }

    pub(super) fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::Float,
            Precision::Bf16 => DType::BFloat16,
        }
    }

    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        self.dtype().elt_size_in_bytes()
    }

    /// The number as it is read back.
    pub(super) fn kept(self, x: f32) -> f32 {
        match self {
            Precision::F32 => x,
            Precision::Bf16 => bf16::from_f32(x).to_f32(),
        }
    }

    /// Adds the bytes of a number.
    pub(super) fn write(self, x: f32, to: &mut Vec<u8>) {
        match self {
            Precision::F32 => to.extend(x.to_le_bytes()),
            Precision::Bf16 => to.extend(bf16::from_f32(x).to_le_bytes()),
        }
    }

    /// Reads the numbers of such bytes.
    pub(super) fn read(self, bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
        let size = self.size();
        bytes.chunks_exact(size).map(move |b| match *b {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            [a, b] => bf16::from_le_bytes([a, b]).to_f32(),
            _ => f32::NAN,
        })
    }
}

/// Features of a vision model that are kept beside the latents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// The model's name, `dinov2-vit-b`.
    pub name: String,
    /// The hash of its weights.
    pub model: String,
    /// Tokens of a picture.
    pub tokens: usize,
    /// The width of a token.
    pub dim: usize,
    /// Rows and columns of the tokens, where they are no square.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<[usize; 2]>,
    /// What the model was told beside its weights, such as its resolution; `None` where an earlier version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Map<String, Value>>,
}

impl Features {
    /// Whether both are of the same model, as far as both say.
    pub(super) fn is_like(&self, other: &Features) -> bool {
        let are_known = self.options.is_some() && other.options.is_some();
        let same_model =
            (&self.name, &self.model, self.tokens, self.dim, self.grid) == (&other.name, &other.model, other.tokens, other.dim, other.grid);
        same_model && (!are_known || self.options == other.options)
    }

    /// The model in a message: its name, and the beginning of its hash.
    pub(super) fn shown(&self) -> String {
        let options = self.options.as_ref().filter(|o| !o.is_empty()).map_or(String::new(), |o| format!(" {}", Value::Object(o.clone())));
        format!("{} {}{options}", self.name, self.model.get(..12).unwrap_or(&self.model))
    }
}

/// What a shard holds of each latent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    pub(super) shape: [usize; 3],
    pub(super) precision: Precision,
    pub(super) attributes: &'a [Attribute],
    pub(super) features: &'a [Features],
}

impl Layout<'_> {
    /// The tensors in the order in which they are written and read; features come last.
    pub(super) fn fields(&self) -> Vec<Field> {
        let dtype = self.precision.dtype();
        let field = |name: &str, dtype, shape: &[usize]| Field { name: name.to_owned(), dtype, shape: shape.to_vec() };
        let mut fields = vec![
            field("mean", dtype, &self.shape),
            field("std", dtype, &self.shape),
            field("labels", DType::Int64, &[]),
            field("index", DType::Int64, &[]),
        ];
        if !self.attributes.is_empty() {
            fields.push(field("attributes", DType::Uint8, &[self.attributes.len()]));
        }
        let features = self.features.iter().enumerate().map(|(i, f)| field(&feature_name(i), dtype, &[f.tokens, f.dim]));
        fields.extend(features);
        fields
    }
}

/// What the features of model `i` are called in shards and batches.
pub fn feature_name(i: usize) -> String {
    format!("features.{i}")
}
