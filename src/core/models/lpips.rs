//! LPIPS: the perceptual distance from VGG16 features (Zhang et al., arXiv 1801.03924).
//!
//! As latent diffusion and REPA-E use it: the network maps its inputs by `x * 2 - 1`, as if they lay in [0, 1]. REPA-E hands it images in
//! [-1, 1], which then lie in [-3, 1]; its published weights were trained so, so the same is done here. `vgg16` weights are torchvision's,
//! the linear heads those of the package `lpips` (version 0.1, `vgg.pth`).

use crate::error::{Error, Result};
use crate::nn::layers::{Conv2d, Conv2dOptions};
use crate::nn::{Built, Forward, Init, Module, Path, State, read_state};
use crate::torch::{DType, Tensor, default_device};
use std::path::PathBuf;

/// Convolutions of each slice: their index in torchvision's `features`, input and output channels. Slices end at relu1_2, 2_2, 3_3,
/// 4_3 and 5_3; a 2x2 maximum lies between them.
const SLICES: [&[(i64, i64, i64)]; 5] = [
    &[(0, 3, 64), (2, 64, 64)],
    &[(5, 64, 128), (7, 128, 128)],
    &[(10, 128, 256), (12, 256, 256), (14, 256, 256)],
    &[(17, 256, 512), (19, 512, 512), (21, 512, 512)],
    &[(24, 512, 512), (26, 512, 512), (28, 512, 512)],
];
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// The network: `features.N.*` of VGG16 and `lin0..4.model.1.weight`.
pub struct Lpips {
    slices: Vec<Vec<Conv2d>>,
    heads: Vec<Tensor>,
}

impl Forward for Lpips {
    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        match inputs {
            [a, b] => Lpips::forward(self, a, b),
            _ => Err(Error::value("lpips", format!("takes two images, got {}", inputs.len()))),
        }
    }
}

impl Lpips {
    /// Registers all parameters under `p`.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn new(p: &Path) -> Result<Self> {
        let features = p.pp("features");
        let conv = |&(n, a, b): &(i64, i64, i64)| Conv2d::new(&features.pp(n), a, b, [3, 3], Conv2dOptions::default().padding(1));
        let slices = SLICES.iter().map(|s| s.iter().map(conv).collect()).collect::<Result<_>>()?;
        let head = |(i, s): (usize, &&[(i64, i64, i64)])| {
            let channels = s.last().map_or(0, |c| c.2);
            p.pp(format!("lin{i}")).pp("model").pp(1).param("weight", &[1, channels, 1, 1], Init::Empty)
        };
        Ok(Lpips { slices, heads: SLICES.iter().enumerate().map(head).collect::<Result<_>>()? })
    }

    /// A module with the weights of these files together, frozen: torchvision's `vgg16-397923af.pth` and the heads `vgg.pth`, or one
    /// file that holds both (the `lpips` of a REPA-E checkpoint).
    ///
    /// # Errors
    /// `E0202` without files, `E0301` or `E0302` when one cannot be read, `E0401` when together they are not the network's weights.
    pub fn module(files: &[PathBuf]) -> Result<Module> {
        if files.is_empty() {
            return Err(Self::missing());
        }
        let mut state = State::new();
        for file in files {
            state.extend(read_state(file, None)?);
        }
        let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        Self::with_state(&state).map_err(|e| e.context(names.join(", ")))
    }

    /// What to say where the weights are not there.
    pub fn missing() -> Error {
        Error::value("lpips", "the weights are needed: they are not part of this program")
            .help(super::published::remedy("lpips") + "`#{weights: [\"vgg16-397923af.pth\", \"vgg.pth\"]}`: torchvision's VGG16, and lpips/weights/v0.1/vgg.pth of the PyPI package lpips")
    }

    /// The same from a state dict.
    ///
    /// # Errors
    /// `E0401` when they are not the network's weights.
    pub fn with_state(state: &State) -> Result<Module> {
        let module = Module::build("lpips", default_device(), |p| Ok(Built::layer(Self::new(p)?).importing(import)))?;
        module.load_state(state, true)?;
        module.set_requires_grad(false)?;
        module.set_training(false);
        Ok(module)
    }

    /// The five feature maps of images already scaled.
    fn features(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let (mut h, mut out) = (x.clone(), Vec::new());
        for (i, slice) in self.slices.iter().enumerate() {
            if i > 0 {
                h = h.max_pool2d([2, 2], [2, 2], [0, 0])?;
            }
            h = slice.iter().try_fold(h, |h, conv| conv.forward(&h)?.relu())?;
            out.push(h.clone());
        }
        Ok(out)
    }

    /// VGG features as LPIPS sees them, of images `[B, 3, H, W]`: relu1_2, 2_2, 3_3, 4_3, 5_3.
    ///
    /// # Errors
    /// `E0202` for another shape.
    pub fn maps(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let (_, c, _, _) = images.size4()?;
        if c != 3 {
            return Err(Error::value("lpips", format!("images have 3 channels, got {}", images.describe())));
        }
        let constant = |v: &[f32]| Tensor::from_vec(v, &[1, 3, 1, 1])?.to_device(images.device())?.to_dtype(images.dtype());
        self.features(&images.mul(2.0)?.sub(1.0)?.sub(&constant(&SHIFT)?)?.div(&constant(&SCALE)?)?)
    }

    /// The distance in each layer: five tensors `[B, 1, 1, 1]`.
    ///
    /// # Errors
    /// `E0202` for another shape.
    pub fn layers(&self, a: &Tensor, b: &Tensor) -> Result<Vec<Tensor>> {
        let unit = |f: &Tensor| f.div(&f.square()?.sum(&[1], true)?.sqrt()?.add(1e-10)?);
        let layer = |((a, b), head): ((&Tensor, &Tensor), &Tensor)| {
            let difference = unit(a)?.sub(&unit(b)?)?.square()?;
            difference.conv2d(head, None, [1, 1], [0, 0], [1, 1], 1)?.mean(&[2, 3], true)
        };
        self.maps(a)?.iter().zip(&self.maps(b)?).zip(&self.heads).map(layer).collect()
    }

    /// The distance of two batches of images: `[B, 3, H, W]` twice -> `[B, 1, 1, 1]`.
    ///
    /// # Errors
    /// `E0202` for another shape, `E0201` when both differ.
    pub fn forward(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let layers = self.layers(a, b)?;
        let zero = Tensor::zeros(&[], DType::Float, a.device())?;
        layers.iter().try_fold(zero, |sum, l| sum.add(l))
    }
}

/// Renames the reference's `net.slice1.0.weight`, the package's `lins.0.model.1.weight`, and drops what lies beside them: VGG's classifier,
/// and the constants that are written into the code.
fn import(state: &State) -> Result<State> {
    let mut out = State::new();
    for (name, tensor) in state {
        let tail = ["features.", "net.slice", "lins.", "lin"].iter().find_map(|k| {
            let at = name.find(k)?;
            (at == 0 || name.as_bytes().get(at - 1) == Some(&b'.')).then(|| &name[at..])
        });
        let own = match tail {
            Some(t) if t.starts_with("net.slice") => t.splitn(3, '.').nth(2).map(|rest| format!("features.{rest}")),
            Some(t) if t.starts_with("lins.") => t.strip_prefix("lins.").map(|rest| format!("lin{rest}")),
            other => other.map(str::to_owned),
        };
        let dropped = name.starts_with("classifier.") || name.ends_with("scaling_layer.shift") || name.ends_with("scaling_layer.scale");
        match own {
            Some(own) => drop(out.insert(own, tensor.clone())),
            None if dropped => {}
            None => drop(out.insert(name.clone(), tensor.clone())),
        }
    }
    Ok(out)
}
