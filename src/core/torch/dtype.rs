//! Element types and their names.

use crate::error::{Error, Result, did_you_mean};

/// An element type, as libtorch names it.
pub use tch::Kind as DType;

/// Every dtype that has a name in the script language, with PyTorch's names as alternatives.
const NAMES: &[(&str, DType, &[&str])] = &[
    ("f32", DType::Float, &["float32", "float"]),
    ("f64", DType::Double, &["float64", "double"]),
    ("f16", DType::Half, &["float16", "half", "fp16"]),
    ("bf16", DType::BFloat16, &["bfloat16"]),
    ("i64", DType::Int64, &["int64", "long"]),
    ("i32", DType::Int, &["int32", "int"]),
    ("i16", DType::Int16, &["int16", "short"]),
    ("i8", DType::Int8, &["int8"]),
    ("u8", DType::Uint8, &["uint8", "byte"]),
    ("bool", DType::Bool, &[]),
    ("c64", DType::ComplexFloat, &["complex64"]),
    ("c128", DType::ComplexDouble, &["complex128"]),
];

/// The short name of a dtype: `f32`, `bf16`, `i64`, `u8`, `bool`, ...
pub fn dtype_name(dtype: DType) -> &'static str {
    NAMES.iter().find(|(_, k, _)| *k == dtype).map_or("other", |(n, _, _)| n)
}

/// The dtype of a name; PyTorch's long names are accepted too.
///
/// # Errors
/// `E0202` for an unknown name, with the nearest one.
pub fn parse_dtype(name: &str) -> Result<DType> {
    NAMES.iter().find(|(n, _, more)| *n == name || more.contains(&name)).map(|(_, k, _)| *k).ok_or_else(|| {
        let known = NAMES.iter().map(|(n, ..)| *n);
        Error::value("dtype", format!("unknown dtype `{name}`{}", did_you_mean(name, known.clone())))
            .help(format!("one of {}", known.collect::<Vec<_>>().join(", ")))
    })
}
