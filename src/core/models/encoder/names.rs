//! Names of a vision transformer's parameters, as the lines of published code write them.

/// The names of one line of code; those of a block are relative to it.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// The class token, and its rank.
    pub cls: (&'static str, usize),
    /// The position table, and its rank.
    pub pos: (&'static str, usize),
    /// The registers.
    pub registers: &'static str,
    /// The patch convolution.
    pub patch: &'static str,
    /// The norm before the blocks.
    pub pre_norm: &'static str,
    /// What stands before a block's number.
    pub blocks: &'static str,
    /// The norm before attention.
    pub norm1: &'static str,
    /// Weight and bias of the joint query, key, value map.
    pub qkv: [&'static str; 2],
    /// Attention's output map.
    pub out: &'static str,
    /// The norm before the MLP.
    pub norm2: &'static str,
    /// The MLP's two maps.
    pub mlp: [&'static str; 2],
    /// The scales of the two branches.
    pub scales: [&'static str; 2],
    /// The norm after the blocks.
    pub norm: &'static str,
}

/// timm's names, which DINO, DINOv2, MAE, MoCo v3 and I-JEPA share.
pub const TIMM: Names = Names {
    cls: ("cls_token", 3),
    pos: ("pos_embed", 3),
    registers: "register_tokens",
    patch: "patch_embed.proj",
    pre_norm: "norm_pre",
    blocks: "blocks",
    norm1: "norm1",
    qkv: ["attn.qkv.weight", "attn.qkv.bias"],
    out: "attn.proj",
    norm2: "norm2",
    mlp: ["mlp.fc1", "mlp.fc2"],
    scales: ["ls1.gamma", "ls2.gamma"],
    norm: "norm",
};

/// The names of timm's `Eva`, in which it has DINOv3 and Perception Encoder.
pub const EVA: Names = Names { registers: "reg_token", scales: ["gamma_1", "gamma_2"], ..TIMM };

/// The names of the official DINOv3.
pub const DINOV3: Names = Names { registers: "storage_tokens", ..TIMM };

/// The names of OpenAI's CLIP below `visual.`, which Perception Encoder shares.
pub const OPENAI: Names = Names {
    cls: ("class_embedding", 1),
    pos: ("positional_embedding", 2),
    registers: "register_tokens",
    patch: "conv1",
    pre_norm: "ln_pre",
    blocks: "transformer.resblocks",
    norm1: "ln_1",
    qkv: ["attn.in_proj_weight", "attn.in_proj_bias"],
    out: "attn.out_proj",
    norm2: "ln_2",
    mlp: ["mlp.c_fc", "mlp.c_proj"],
    scales: ["ls_1.gamma", "ls_2.gamma"],
    norm: "ln_post",
};

/// The maps of a SwiGLU network.
pub const SWIGLU: [&str; 2] = ["mlp.w12", "mlp.w3"];
/// DINO's learned token for masked patches, which inference never uses.
pub const MASK: &str = "mask_token";

impl Names {
    /// The name here of what another line of code calls `name`; `None` for what is no parameter there.
    pub fn of(&self, other: &Names, name: &str) -> Option<String> {
        let whole = [(other.cls.0, self.cls.0), (other.pos.0, self.pos.0), (other.registers, self.registers)];
        let layers = [(other.patch, self.patch), (other.pre_norm, self.pre_norm), (other.norm, self.norm)];
        if let Some(own) = renamed(name, &whole, &layers) {
            return Some(own);
        }
        let (block, inner) = name.strip_prefix(other.blocks)?.strip_prefix('.')?.split_once('.')?;
        let [qkv, bias, scale1, scale2] =
            [(other.qkv[0], self.qkv[0]), (other.qkv[1], self.qkv[1]), (other.scales[0], self.scales[0]), (other.scales[1], self.scales[1])];
        let [fc1, fc2] = [0, 1].map(|i| (other.mlp[i], self.mlp[i]));
        let layers = [(other.norm1, self.norm1), (other.out, self.out), (other.norm2, self.norm2), fc1, fc2];
        renamed(inner, &[qkv, bias, scale1, scale2], &layers).map(|own| format!("{}.{block}.{own}", self.blocks))
    }
}

/// A name by pairs of theirs and ours: of whole names, and of layers, whose parameters keep theirs.
fn renamed(name: &str, whole: &[(&str, &str)], layers: &[(&str, &str)]) -> Option<String> {
    if let Some((_, own)) = whole.iter().find(|(their, _)| *their == name) {
        return Some((*own).to_owned());
    }
    layers.iter().find_map(|(their, own)| Some(format!("{own}.{}", name.strip_prefix(their)?.strip_prefix('.')?)))
}
