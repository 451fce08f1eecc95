//! The sizes of a denoiser whose weights are there.

use super::config::SIZES;
use super::{ANCHOR, SitConfig};
use crate::error::{Error, Result};
use crate::nn::State;
use crate::nn::bounds::square_side;

impl SitConfig {
    /// The architecture of a state dict with the network's own names, from its sizes. How many heads there are no size tells: they are those of
    /// the published network of that depth and width, or 0 where there is none. Nor do positions tell the sides of latents `[h, w]` that are no squares:
    /// `input_size` gives them.
    ///
    /// # Errors
    /// `E0401` when it is no such network, or has other positions than those of `input_size`.
    pub fn of_state(state: &State, input_size: Option<[i64; 2]>) -> Result<SitConfig> {
        let shape = |name: &str| state.get(name).map(|t| t.shape());
        let need = |name: &str, rank: usize| {
            let found = shape(name).filter(|s| s.len() == rank && s.iter().all(|n| *n > 0));
            found.ok_or_else(|| Error::weights(format!("not the weights of a SiT: it has no `{name}` of {rank} dimensions")))
        };
        let patches = need(ANCHOR, 4)?;
        let (hidden, in_channels, patch) = (patches[0], patches[1], patches[2]);
        let tokens = need("pos_embed", 3)?[1];
        let input_size = sides(tokens, patch, input_size)?;
        let count = |name: &dyn Fn(i64) -> String| (0..).take_while(|i| state.contains_key(&name(*i))).count() as i64;
        let depth = count(&|i| format!("blocks.{i}.mlp.fc1.weight"));
        if depth < 1 {
            return Err(Error::weights("not the weights of a SiT: it has no `blocks.0.mlp.fc1.weight`"));
        }
        let targets = count(&|i| format!("projectors.{i}.4.weight"));
        let z_dims = (0..targets).map(|i| Ok(need(&format!("projectors.{i}.4.weight"), 2)?[0])).collect::<Result<Vec<_>>>()?;
        let plain = SitConfig::sized(depth, hidden, 0);
        Ok(SitConfig {
            heads: SIZES.iter().find(|s| (s.1, s.2) == (depth, hidden)).map_or(0, |s| s.3),
            patch,
            input_size,
            in_channels,
            num_classes: need("y_embedder.embedding_table.weight", 2)?[0] - 1,
            projector_dim: if targets > 0 { need("projectors.0.0.weight", 2)?[0] } else { plain.projector_dim },
            mlp_ratio: need("blocks.0.mlp.fc1.weight", 2)?[0] as f64 / hidden as f64,
            qk_norm: state.contains_key("blocks.0.attn.q_norm.weight"),
            z_dims,
            ..plain
        })
    }
}

/// Height and width of latents that are `tokens` patches: those given, else those of a square.
fn sides(tokens: i64, patch: i64, given: Option<[i64; 2]>) -> Result<[i64; 2]> {
    let Some(size @ [height, width]) = given else {
        let Some(grid) = square_side(tokens) else {
            return Err(Error::weights(format!("its {tokens} positions are no square: the latents of this SiT are none"))
                .help("no tensor tells their sides: give them, `input_size: [h, w]`, as a flag `--model-config.input-size [h,w]`"));
        };
        let side = grid.checked_mul(patch).ok_or_else(|| Error::weights(format!("{grid} patches of {patch} in a row are too many")))?;
        return Ok([side, side]);
    };
    if height < 1 || width < 1 || height % patch != 0 || width % patch != 0 || (height / patch).checked_mul(width / patch) != Some(tokens) {
        return Err(Error::weights(format!("latents of {height} x {width} do not make its {tokens} patches of {patch} x {patch}")));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Sit;

    #[test]
    fn a_network_has_the_sizes_of_its_weights() {
        let config = SitConfig {
            patch: 2,
            input_size: [6, 6],
            in_channels: 3,
            num_classes: 7,
            z_dims: vec![5, 4],
            qk_norm: true,
            projector_dim: 9,
            ..SitConfig::sized(2, 16, 2)
        };
        let state = Sit::module("sit", config.clone()).unwrap().state();
        assert_eq!(SitConfig::of_state(&state, None).unwrap(), SitConfig { heads: 0, ..config.clone() });
        let mut other = state.clone();
        other.shift_remove("pos_embed");
        assert!(SitConfig::of_state(&other, None).unwrap_err().to_string().contains("`pos_embed`"));
        assert!(SitConfig::of_state(&State::new(), None).is_err());
    }

    #[test]
    fn the_sides_of_latents_that_are_no_squares_are_given() {
        let config = SitConfig { patch: 2, input_size: [4, 6], ..SitConfig::sized(1, 16, 2) };
        let state = Sit::module("sit", config.clone()).unwrap().state();
        let e = SitConfig::of_state(&state, None).unwrap_err();
        assert!(e.to_string().contains("its 6 positions are no square") && e.help_text().unwrap().contains("input_size: [h, w]"), "{e}");
        assert_eq!(SitConfig::of_state(&state, Some([4, 6])).unwrap().input_size, [4, 6]);
        for wrong in [[4, 8], [3, 8], [0, 6], [-4, -6], [i64::MAX - 1, i64::MAX - 1]] {
            assert!(SitConfig::of_state(&state, Some(wrong)).unwrap_err().to_string().contains("do not make its 6 patches of 2 x 2"), "{wrong:?}");
        }
    }
}
