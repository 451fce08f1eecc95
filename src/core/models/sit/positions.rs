//! Which grid a table of positions is for, which its size does not tell.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::nn::layers::sincos_2d;

/// How far a kept table may be from the one that is computed: half precision has rounded it.
const ROUNDED: f64 = 1e-2;

/// Refuses weights whose positions are those of another grid of as many tokens, such as 6 x 6 for `[4, 9]`. Positions that were trained may be anything.
///
/// # Errors
/// `E0401` naming both grids.
pub(super) fn check(state: &State, [rows, columns]: [i64; 2], patch: i64) -> Result<()> {
    let Some(table) = state.get("pos_embed") else { return Ok(()) };
    let [1, tokens, width] = table.shape()[..] else { return Ok(()) };
    if tokens != rows * columns || width % 4 != 0 {
        return Ok(());
    }
    let kept = table.to_vec_f64()?;
    let is_of = |rows, columns| -> Result<bool> {
        let computed = sincos_2d(width, rows, columns)?.to_vec_f64()?;
        Ok(kept.iter().zip(&computed).all(|(a, b)| (a - b).abs() < ROUNDED))
    };
    if is_of(rows, columns)? {
        return Ok(());
    }
    for r in (1..=tokens).filter(|r| tokens % r == 0) {
        let c = tokens / r;
        if is_of(r, c)? {
            let message = format!("its positions are those of {r} rows of {c} patches, and this SiT has {rows} rows of {columns}");
            return Err(Error::weights(message).help(format!("`input_size: [{}, {}]`", r * patch, c * patch)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::models::{Sit, SitConfig};
    use crate::nn::Module;
    use crate::torch::Tensor;

    fn sit(input_size: [i64; 2]) -> Module {
        Sit::module("sit", SitConfig { patch: 2, input_size, z_dims: Vec::new(), ..SitConfig::sized(1, 16, 2) }).unwrap()
    }

    #[test]
    fn positions_of_other_rows_are_refused_and_trained_ones_are_not() {
        let (square, wide) = (sit([12, 12]), sit([8, 18]));
        let state = wide.state();
        wide.load_state(&state, true).unwrap();
        for (module, want) in [(&square, "this SiT has 6 rows of 6"), (&sit([18, 8]), "this SiT has 9 rows of 4")] {
            let e = module.load_state(&state, true).unwrap_err();
            assert!(e.to_string().contains("those of 4 rows of 9 patches") && e.to_string().contains(want), "{e}");
            assert_eq!(e.help_text().unwrap(), "`input_size: [8, 18]`");
        }
        let mut trained = state.clone();
        let noise = Tensor::rand(&[1, 36, 16], crate::torch::DType::Float, crate::torch::Device::Cpu).unwrap();
        trained.insert("pos_embed".into(), state["pos_embed"].add(&noise).unwrap());
        square.load_state(&trained, true).unwrap();
    }
}
