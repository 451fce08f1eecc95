//! Statistics of features in `.npz` files: `mu`, `sigma`, and the name of the network that made the features.

use super::frechet::FeatureStats;
use crate::data::write_npz_origin;
use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::torch::files::{Npz, NpzWriter};
use crate::torch::{DType, Tensor};
use std::path::Path;

/// What files are taken to be of that name no network: those of pytorch-fid and the reference batches of ADM.
pub const UNNAMED: &str = "inception";

/// Reads statistics: `mu` `[D]` and `sigma` `[D, D]`, or with `suffix` `_s` those of ADM's spatial features.
///
/// # Errors
/// `E0301` or `E0302` when the file cannot be read, lacks an array (naming those that it has), or they do not fit each other.
pub fn read_stats(path: &Path, suffix: &str) -> Result<FeatureStats> {
    let array = |name: &str| -> Result<Tensor> {
        let rows = Npz::open(path)?.rows(name)?;
        if ![DType::Float, DType::Double].contains(&rows.dtype()) {
            return Err(Error::data(path, format!("`{name}` must be float64 or float32, it is {:?}", rows.dtype())));
        }
        rows.all()?.to_dtype(DType::Double)
    };
    let names = Npz::open(path)?.names();
    let (mu, cov) = (array(&format!("mu{suffix}"))?, array(&format!("sigma{suffix}"))?);
    let d = mu.numel() as i64;
    if mu.shape() != [d] || cov.shape() != [d, d] {
        return Err(Error::data(
            path,
            format!("`mu{suffix}` is {} and `sigma{suffix}` {}: [D] and [D, D] are needed", mu.describe(), cov.describe()),
        ));
    }
    let has = |name: &str| names.iter().any(|n| n == name);
    let extractor = if has("extractor") {
        let bytes = Npz::open(path)?.rows("extractor")?.all()?.to_bytes()?;
        String::from_utf8(bytes).map_err(|_| Error::data(path, "`extractor` is no UTF-8 text"))?
    } else {
        UNNAMED.to_owned()
    };
    let n = if has("n") { Npz::open(path)?.rows("n")?.all()?.item()? as i64 } else { 0 };
    Ok(FeatureStats { mu, cov, n, extractor: Some(extractor) })
}

/// Writes statistics, those of spatial features where there are any, and what they were made from where that is known. The extractor's name is stored as bytes (`bytes(a["extractor"]).decode()`).
///
/// # Errors
/// `E0202` for statistics that name no extractor, `E0301` when the file cannot be written.
pub fn write_stats(path: &Path, stats: &FeatureStats, spatial: Option<&FeatureStats>, origin: Option<&Origin>) -> Result<()> {
    let Some(extractor) = &stats.extractor else {
        return Err(Error::value("save_stats", "the statistics name no extractor").help("`eval::feature_stats(features, #{extractor: \"..\"})`"));
    };
    let mut out = NpzWriter::create(path)?;
    out.add("mu", &stats.mu)?;
    out.add("sigma", &stats.cov)?;
    if let Some(s) = spatial {
        out.add("mu_s", &s.mu)?;
        out.add("sigma_s", &s.cov)?;
    }
    out.add("n", &Tensor::from_vec(&[stats.n], &[])?)?;
    out.add("extractor", &Tensor::from_bytes(extractor.as_bytes(), &[extractor.len() as i64], DType::Uint8)?)?;
    if let Some(origin) = origin {
        write_npz_origin(&mut out, origin)?;
    }
    out.finish()
}

/// Whether an `.npz` holds statistics.
///
/// # Errors
/// `E0301` or `E0302` when the file cannot be read.
pub fn has_stats(path: &Path, suffix: &str) -> Result<bool> {
    let names = Npz::open(path)?.names();
    Ok([format!("mu{suffix}"), format!("sigma{suffix}")].iter().all(|n| names.contains(n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{feature_stats, frechet_of};
    use crate::torch::Device;

    #[test]
    fn statistics_come_back_with_their_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.npz");
        let x = Tensor::randn(&[20, 3], DType::Double, Device::Cpu).unwrap();
        let stats = feature_stats(&x).unwrap();
        assert!(write_stats(&path, &stats, None, None).is_err(), "a name is needed");
        write_stats(&path, &FeatureStats { extractor: Some("lite0".into()), ..stats.clone() }, None, None).unwrap();
        let back = read_stats(&path, "").unwrap();
        assert_eq!((back.n, back.extractor.as_deref()), (20, Some("lite0")));
        assert!(frechet_of("fid", &back, &stats).unwrap() < 1e-12);
        assert!(has_stats(&path, "").unwrap() && !has_stats(&path, "_s").unwrap());
        let other = FeatureStats { extractor: Some("inception".into()), ..stats };
        let e = frechet_of("fid", &back, &other).unwrap_err().to_string();
        assert!(e.contains("`lite0`") && e.contains("`inception`"), "{e}");
    }

    #[test]
    fn odd_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npz");
        let save = |arrays: &[(&str, Tensor)]| {
            let mut w = NpzWriter::create(&path).unwrap();
            arrays.iter().for_each(|(k, t)| w.add(k, t).unwrap());
            w.finish().unwrap();
        };
        let (mu, sigma) = (Tensor::zeros(&[3], DType::Double, Device::Cpu).unwrap(), Tensor::eye(3, DType::Double, Device::Cpu).unwrap());
        save(&[("mean", mu.clone()), ("sigma", sigma.clone())]);
        assert!(read_stats(&path, "").unwrap_err().to_string().contains("`mean`"));
        save(&[("mu", mu.to_dtype(DType::Int64).unwrap()), ("sigma", sigma.clone())]);
        assert!(read_stats(&path, "").unwrap_err().to_string().contains("float64"));
        save(&[("mu", mu.narrow(0, 0, 2).unwrap()), ("sigma", sigma.clone())]);
        assert!(read_stats(&path, "").is_err());
        save(&[("mu", mu), ("sigma", sigma)]);
        assert_eq!(read_stats(&path, "").unwrap().extractor.as_deref(), Some(UNNAMED));
    }
}
