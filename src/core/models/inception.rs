//! InceptionV3 as FID uses it: the network of TensorFlow's `inception-2015-12-05` (Szegedy et al., arXiv 1512.00567), 1008 classes.
//!
//! Parameter names are those of the published conversion `pt_inception-2015-12-05-6726825d.pth` (mseitzer/pytorch-fid; the same file is
//! torch-fidelity's). Average pooling leaves padding out of the average, and the last block pools by maximum: so did the graph behind the
//! published figures. Features are ADM's (openai/guided-diffusion, `evaluations`): `pool` behind FID, precision and recall, `spatial` behind
//! sFID, `logits` without the bias behind the Inception Score.

use crate::error::{Error, Result};
use crate::nn::layers::{BatchNorm2d, BatchNormOptions, Conv2d, Conv2dOptions};
use crate::nn::{Built, Forward, Init, Module, Path, State, read_state};
use crate::torch::{DType, Tensor, default_device};
use std::path::Path as FilePath;

/// Where the weights are published.
pub const WEIGHTS: &str = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth";

/// What the file is called.
pub const FILE: &str = "pt_inception-2015-12-05-6726825d.pth";

const CLASSES: i64 = 1008;
const WIDTH: i64 = 2048;
/// The side to which pictures are resized.
const SIDE: i64 = 299;
/// Channels of `mixed_6/conv` (the first branch of `Mixed_6d`) that sFID looks at.
const SPATIAL: i64 = 7;

/// Convolution without bias, batch norm on running statistics, ReLU.
struct Unit {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Unit {
    fn new(p: &Path, inputs: i64, outputs: i64, kernel: [i64; 2], stride: i64, padding: [i64; 2]) -> Result<Self> {
        let options = Conv2dOptions { bias: false, padding, ..Conv2dOptions::default().stride(stride) };
        let bn = BatchNormOptions { eps: 1e-3, ..BatchNormOptions::default() };
        Ok(Unit { conv: Conv2d::new(&p.pp("conv"), inputs, outputs, kernel, options)?, norm: BatchNorm2d::new(&p.pp("bn"), outputs, bn)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward_running(&self.conv.forward(x)?)?.relu()
    }
}

/// What stands before a branch's convolutions.
#[derive(Clone, Copy)]
enum Pool {
    None,
    Average,
    Maximum,
    /// The maximum with stride 2, a branch by itself.
    Halve,
}

/// One branch of a block: its pooling, its units one behind the other, and units that all take what the last of those gives.
struct Branch {
    pool: Pool,
    chain: Vec<Unit>,
    fork: Vec<Unit>,
}

impl Branch {
    fn forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let x = match self.pool {
            Pool::None => x.clone(),
            Pool::Average => x.avg_pool2d([3, 3], [1, 1], [1, 1], false)?,
            Pool::Maximum => x.max_pool2d([3, 3], [1, 1], [1, 1])?,
            Pool::Halve => x.max_pool2d([3, 3], [2, 2], [0, 0])?,
        };
        let h = self.chain.iter().try_fold(x, |h, u| u.forward(&h))?;
        if self.fork.is_empty() { Ok(vec![h]) } else { self.fork.iter().map(|u| u.forward(&h)).collect() }
    }
}

/// A unit's name, its output channels and its kernel; stride 1, padded to keep the size unless it is one of a halving block.
type Spec = (&'static str, i64, [i64; 2]);

/// Builds the branches of one block.
struct Block {
    p: Path,
    inputs: i64,
    branches: Vec<Branch>,
}

impl Block {
    fn at(p: Path, inputs: i64) -> Self {
        Block { p, inputs, branches: Vec::new() }
    }

    fn branch(self, pool: Pool, chain: &[Spec]) -> Result<Self> {
        self.full(pool, chain, &[], false)
    }

    /// The last unit of the branch has stride 2 and no padding.
    fn halving(self, chain: &[Spec]) -> Result<Self> {
        self.full(Pool::None, chain, &[], true)
    }

    fn full(mut self, pool: Pool, chain: &[Spec], fork: &[Spec], halves: bool) -> Result<Self> {
        let mut inputs = self.inputs;
        let mut units = Vec::new();
        for (i, &(name, outputs, kernel)) in chain.iter().enumerate() {
            let last = halves && i + 1 == chain.len();
            let (stride, padding) = if last { (2, [0, 0]) } else { (1, kernel.map(|k| k / 2)) };
            units.push(Unit::new(&self.p.pp(name), inputs, outputs, kernel, stride, padding)?);
            inputs = outputs;
        }
        let one = |&(name, outputs, kernel): &Spec| Unit::new(&self.p.pp(name), inputs, outputs, kernel, 1, kernel.map(|k: i64| k / 2));
        let fork = fork.iter().map(one).collect::<Result<_>>()?;
        self.branches.push(Branch { pool, chain: units, fork });
        Ok(self)
    }

    /// 35 x 35.
    fn a(self, pooled: i64) -> Result<Vec<Branch>> {
        let b = self.branch(Pool::None, &[("branch1x1", 64, [1, 1])])?;
        let b = b.branch(Pool::None, &[("branch5x5_1", 48, [1, 1]), ("branch5x5_2", 64, [5, 5])])?;
        let b = b.branch(Pool::None, &[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3]), ("branch3x3dbl_3", 96, [3, 3])])?;
        Ok(b.branch(Pool::Average, &[("branch_pool", pooled, [1, 1])])?.branches)
    }

    /// From 35 to 17.
    fn b(self) -> Result<Vec<Branch>> {
        let b = self.halving(&[("branch3x3", 384, [3, 3])])?;
        let b = b.halving(&[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3]), ("branch3x3dbl_3", 96, [3, 3])])?;
        Ok(b.branch(Pool::Halve, &[])?.branches)
    }

    /// 17 x 17.
    fn c(self, width: i64) -> Result<Vec<Branch>> {
        let (w, row, column) = (width, [1, 7], [7, 1]);
        let b = self.branch(Pool::None, &[("branch1x1", 192, [1, 1])])?;
        let b = b.branch(Pool::None, &[("branch7x7_1", w, [1, 1]), ("branch7x7_2", w, row), ("branch7x7_3", 192, column)])?;
        let deep = [
            ("branch7x7dbl_1", w, [1, 1]),
            ("branch7x7dbl_2", w, column),
            ("branch7x7dbl_3", w, row),
            ("branch7x7dbl_4", w, column),
            ("branch7x7dbl_5", 192, row),
        ];
        Ok(b.branch(Pool::None, &deep)?.branch(Pool::Average, &[("branch_pool", 192, [1, 1])])?.branches)
    }

    /// From 17 to 8.
    fn d(self) -> Result<Vec<Branch>> {
        let b = self.halving(&[("branch3x3_1", 192, [1, 1]), ("branch3x3_2", 320, [3, 3])])?;
        let deep = [("branch7x7x3_1", 192, [1, 1]), ("branch7x7x3_2", 192, [1, 7]), ("branch7x7x3_3", 192, [7, 1]), ("branch7x7x3_4", 192, [3, 3])];
        Ok(b.halving(&deep)?.branch(Pool::Halve, &[])?.branches)
    }

    /// 8 x 8.
    fn e(self, pool: Pool) -> Result<Vec<Branch>> {
        let b = self.branch(Pool::None, &[("branch1x1", 320, [1, 1])])?;
        let b = b.full(Pool::None, &[("branch3x3_1", 384, [1, 1])], &[("branch3x3_2a", 384, [1, 3]), ("branch3x3_2b", 384, [3, 1])], false)?;
        let chain = [("branch3x3dbl_1", 448, [1, 1]), ("branch3x3dbl_2", 384, [3, 3])];
        let b = b.full(Pool::None, &chain, &[("branch3x3dbl_3a", 384, [1, 3]), ("branch3x3dbl_3b", 384, [3, 1])], false)?;
        Ok(b.branch(pool, &[("branch_pool", 192, [1, 1])])?.branches)
    }
}

/// What ADM's suite takes from one pass.
#[derive(Debug, Clone)]
pub struct Activations {
    /// `[B, 2048]`: the mean over places of the last block.
    pub pool: Tensor,
    /// `[B, 2023]`: 17 x 17 places of 7 channels, channels last.
    pub spatial: Tensor,
    /// `[B, 1008]`: without the bias.
    pub logits: Tensor,
}

/// The network.
pub struct Inception {
    stem: [Unit; 5],
    blocks: Vec<Vec<Branch>>,
    weight: Tensor,
    bias: Tensor,
}

/// The block whose first branch is `mixed_6/conv`.
const SIXTH: usize = 6;

impl Forward for Inception {
    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        match inputs {
            [x] => self.activations(x).map(|a| a.pool),
            _ => Err(Error::value("inception", format!("takes one batch of pictures, got {}", inputs.len()))),
        }
    }
}

impl Inception {
    /// Registers all parameters.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn new(p: &Path) -> Result<Self> {
        let unit =
            |name: &str, inputs, outputs, side: i64, stride, padding: i64| Unit::new(&p.pp(name), inputs, outputs, [side; 2], stride, [padding; 2]);
        let stem = [
            unit("Conv2d_1a_3x3", 3, 32, 3, 2, 0)?,
            unit("Conv2d_2a_3x3", 32, 32, 3, 1, 0)?,
            unit("Conv2d_2b_3x3", 32, 64, 3, 1, 1)?,
            unit("Conv2d_3b_1x1", 64, 80, 1, 1, 0)?,
            unit("Conv2d_4a_3x3", 80, 192, 3, 1, 0)?,
        ];
        let at = |name: &str, inputs| Block::at(p.pp(name), inputs);
        let blocks = vec![
            at("Mixed_5b", 192).a(32)?,
            at("Mixed_5c", 256).a(64)?,
            at("Mixed_5d", 288).a(64)?,
            at("Mixed_6a", 288).b()?,
            at("Mixed_6b", 768).c(128)?,
            at("Mixed_6c", 768).c(160)?,
            at("Mixed_6d", 768).c(160)?,
            at("Mixed_6e", 768).c(192)?,
            at("Mixed_7a", 768).d()?,
            at("Mixed_7b", 1280).e(Pool::Average)?,
            at("Mixed_7c", WIDTH).e(Pool::Maximum)?,
        ];
        let fc = p.pp("fc");
        let (weight, bias) = (fc.param("weight", &[CLASSES, WIDTH], Init::Empty)?, fc.param("bias", &[CLASSES], Init::Empty)?);
        Ok(Inception { stem, blocks, weight, bias })
    }

    /// A frozen module with the weights of this file.
    ///
    /// # Errors
    /// `E0301` or `E0302` when it cannot be read, `E0401` when it holds another network.
    pub fn module(file: &FilePath) -> Result<Module> {
        Self::with_state(&read_state(file, None)?).map_err(|e| e.context(file.display().to_string()))
    }

    /// What to say where the weights are not there.
    pub fn missing() -> Error {
        Error::value("inception", "the weights are needed: they are not part of this program")
            .help(format!("{}get {WEIGHTS} (95 MB) and name it: `#{{weights: \"{FILE}\"}}`", super::published::remedy("inception")))
    }

    /// The same from a state dict.
    ///
    /// # Errors
    /// `E0401` when it holds another network.
    pub fn with_state(state: &State) -> Result<Module> {
        let module = Self::untrained()?;
        module.load_state(state, true)?;
        Ok(module)
    }

    /// The network with random weights, for tests: its distances mean nothing.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn untrained() -> Result<Module> {
        let module = Module::build("inception", default_device(), |p| Ok(Built::layer(Self::new(p)?).importing(import)))?;
        module.set_requires_grad(false)?;
        module.set_training(false);
        Ok(module)
    }

    /// The three activations of pictures `[B, 3, H, W]`, u8 or floats in [-1, 1].
    ///
    /// # Errors
    /// `E0202` for another shape or dtype.
    pub fn activations(&self, images: &Tensor) -> Result<Activations> {
        let mut h = self.input(images)?;
        for (i, unit) in self.stem.iter().enumerate() {
            h = unit.forward(&h)?;
            if i == 2 || i == 4 {
                h = h.max_pool2d([3, 3], [2, 2], [0, 0])?;
            }
        }
        let mut spatial = None;
        for (i, block) in self.blocks.iter().enumerate() {
            let parts: Vec<Tensor> = block.iter().map(|b| b.forward(&h)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            if i == SIXTH {
                spatial = parts.first().map(|first| first.narrow(1, 0, SPATIAL)?.permute(&[0, 2, 3, 1])?.flatten(1, -1)).transpose()?;
            }
            h = Tensor::cat(&parts, 1)?;
        }
        let pool = h.mean(&[2, 3], false)?;
        let logits = pool.linear(&self.weight, None)?;
        let spatial = spatial.ok_or_else(|| Error::value("inception", "the network lacks its seventh block"))?;
        Ok(Activations { pool, spatial, logits })
    }

    /// Scores of the 1008 classes with their bias.
    ///
    /// # Errors
    /// As [`Inception::activations`].
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        self.activations(images)?.pool.linear(&self.weight, Some(&self.bias))
    }

    /// Pictures as the graph takes them: resized as TensorFlow 1 does, then `(x - 128) / 128`.
    fn input(&self, images: &Tensor) -> Result<Tensor> {
        let (_, c, _, _) = images.size4()?;
        if c != 3 {
            return Err(Error::value("inception", format!("pictures have 3 channels, got {}", images.describe())));
        }
        let pixels = match images.dtype() {
            DType::Uint8 => images.to_dtype(DType::Float)?,
            _ if images.is_float() => images.to_dtype(DType::Float)?.add(1.0)?.mul(127.5)?,
            _ => return Err(Error::value("inception", format!("pictures are u8, or floats in [-1, 1]; got {}", images.describe()))),
        };
        resize(&resize(&pixels.to_device(self.weight.device())?, 2)?, 3)?.sub(128.0)?.div(128.0)
    }
}

/// Adds the counters of batches, which files from before PyTorch 0.4.1 lack and nothing here reads.
fn import(state: &State) -> Result<State> {
    let mut out = state.clone();
    for norm in state.keys().filter_map(|name| name.strip_suffix("running_var")) {
        let counter = format!("{norm}num_batches_tracked");
        if !out.contains_key(&counter) {
            out.insert(counter, Tensor::zeros(&[], DType::Int64, default_device())?);
        }
    }
    Ok(out)
}

/// Bilinear along one dimension to [`SIDE`] as TensorFlow 1: place `i` takes from `i * n / SIDE`, without the half-pixel shift of later
/// versions, and without antialiasing.
fn resize(x: &Tensor, dim: i64) -> Result<Tensor> {
    let n = x.size(dim)?;
    if n == SIDE {
        return Ok(x.clone());
    }
    if n < 1 {
        return Err(Error::value("inception", format!("pictures without pixels: {}", x.describe())));
    }
    // TensorFlow computes places in f32.
    let scale = n as f32 / SIDE as f32;
    let places: Vec<f32> = (0..SIDE).map(|i| i as f32 * scale).collect();
    let low: Vec<i64> = places.iter().map(|p| (p.floor() as i64).min(n - 1)).collect();
    let high: Vec<i64> = low.iter().map(|l| (l + 1).min(n - 1)).collect();
    let part: Vec<f32> = places.iter().zip(&low).map(|(p, l)| p - *l as f32).collect();
    let index = |v: &[i64]| Tensor::from_slice(v)?.to_device(x.device());
    let mut shape = vec![1; x.rank()];
    shape[dim as usize] = SIDE;
    let part = Tensor::from_vec(&part, &shape)?.to_device(x.device())?;
    let (low, high) = (x.index_select(dim, &index(&low)?)?, x.index_select(dim, &index(&high)?)?);
    high.sub(&low)?.mul(&part)?.add(&low)
}
