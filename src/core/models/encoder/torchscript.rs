//! Any other vision model, as a TorchScript program: `torchscript:PATH`.
//!
//! The file is what `torch.jit.script(model).save(path)` or `torch.jit.trace(..)` wrote. Its `forward` takes `[B, 3, R, R]` and returns tokens
//! `[B, N, D]` of a square grid, row by row, or a map `[B, C, h, w]` with `h == w`, which becomes tokens row by row. A tuple or list stands for
//! its first element, a dict for the tensor that the option `output` names. Only programs
//! that compute on tensors are loaded (`torch/bridge/program`).

use super::size::{Size, area, text};
use super::{EncoderOptions, VisionModel};
use crate::error::{Error, Result};
use crate::nn::Path;
use crate::nn::bounds::square_side;
use crate::nn::layers::patchify;
use crate::torch::{DType, Tensor, TorchScript, no_grad};
use std::path::Path as FilePath;

/// The side of the input where none is given.
pub const RESOLUTION: i64 = 224;

/// A program with the shape of its tokens.
pub struct Program {
    program: TorchScript,
    output: Option<String>,
    skip: i64,
    dim: i64,
    /// Tokens along a side.
    grid: i64,
}

impl Program {
    /// Loads the program and runs it once on a black picture, to see what it returns. Its parameters are registered under their own names.
    ///
    /// # Errors
    /// `E0301` or `E0302` for a file that is missing or no TorchScript archive, `E0202` when its output is no tokens and no map, or for an input that is
    /// no square.
    pub fn new(p: &Path, file: &FilePath, options: &EncoderOptions, resolution: Size) -> Result<Self> {
        // From pictures only the usual side follows, to which those of another shape would be squeezed unasked.
        let asked = options.resolution.or(options.pictures).unwrap_or(resolution);
        if asked[0] != asked[1] {
            let message = format!("a TorchScript program takes squares, not {}: its tokens do not tell how many rows they make", text(asked));
            return Err(Error::value("encoder", message).help(format!("`#{{resolution: {RESOLUTION}}}` resizes pictures to a square")));
        }
        let [resolution, _] = resolution;
        if !(1..=1 << 14).contains(&resolution) {
            return Err(Error::value("encoder", format!("resolution {resolution} is not between 1 and 16384")));
        }
        let program = TorchScript::load(file, p.device())?;
        for (name, tensor) in program.parameters()? {
            p.fixed(&name, &tensor)?;
        }
        let mut own = Program { program, output: options.output.clone(), skip: options.skip.unwrap_or(0), dim: 0, grid: 0 };
        let probe = Tensor::zeros(&[1, 3, resolution, resolution], DType::Float, p.device())?;
        let tokens = no_grad(|| own.tokens(&probe)).map_err(|e| e.context(file.display().to_string()))?;
        let (_, n, dim) = tokens.size3()?;
        (own.dim, own.grid) = (dim, square_side(n).unwrap_or(0));
        if own.grid == 0 {
            return Err(Error::value("encoder", format!("`{}` returns {n} tokens, which form no square grid", file.display()))
                .help("`#{skip: 1}` leaves out a class token at their front"));
        }
        Ok(own)
    }

    /// The program's tokens.
    fn tokens(&self, input: &Tensor) -> Result<Tensor> {
        let out = self.program.forward(input, self.output.as_deref())?;
        let tokens = match *out.shape() {
            [_, _, h, w] if h == w => patchify(&out)?,
            [_, n, _] if n > self.skip && self.skip >= 0 => out.narrow(1, self.skip, n - self.skip)?,
            _ => {
                let message = format!("the program returns {}; tokens [B, N, D] or a square map [B, C, h, w] are needed", out.describe());
                return Err(Error::value("encoder", message));
            }
        };
        if !tokens.is_float() || tokens.size(0)? != input.size(0)? {
            return Err(Error::value("encoder", format!("the program returns {} for an input of {}", out.describe(), input.describe())));
        }
        Ok(tokens)
    }
}

impl VisionModel for Program {
    fn features(&self, input: &Tensor) -> Result<Tensor> {
        let tokens = self.tokens(input)?;
        let (_, n, d) = tokens.size3()?;
        let first = area(self.grid_size());
        if (n, d) == (first, self.dim) {
            return Ok(tokens);
        }
        Err(Error::value("encoder", format!("the program returned {n} tokens of width {d}, at first {first} of {}", self.dim)))
    }

    fn dim(&self) -> i64 {
        self.dim
    }

    fn grid_size(&self) -> Size {
        [self.grid; 2]
    }

    /// The mean of the tokens.
    fn pooled(&self, input: &Tensor) -> Result<Tensor> {
        self.features(input)?.mean(&[1], false)
    }
}
