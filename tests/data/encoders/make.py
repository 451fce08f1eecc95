"""Writes the fixtures of tests/it/models/encoder_files.rs: small vision models in the files that their own libraries write, with what those compute.
Made with torch 2.11.0 and transformers 5.24.0:

    python tests/data/encoders/make.py
"""
import pathlib
import torch
from safetensors.torch import load_file, save_file
from torch import nn
import transformers as hf

here = pathlib.Path(__file__).parent
torch.manual_seed(0)
SIDE, PATCH, DIM, DEPTH, HEADS = 16, 4, 16, 2, 2
x = torch.randn(2, 3, SIDE, SIDE)
expected = {"x": x}


def scatter(model):
    """Random values everywhere: fresh models have zeros and ones that would hide a swapped name."""
    for name, p in model.named_parameters():
        p.data.uniform_(-0.5, 0.5)
        if p.ndim == 1 and name.endswith("weight"):
            p.data.add_(1.0)
    return model.eval()


common = dict(hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH, attn_implementation="eager")
wide = dict(common, intermediate_size=4 * DIM, layer_norm_eps=1e-6)

models = {
    "dinov2": hf.Dinov2Model(hf.Dinov2Config(**common)),
    "dinov2_swiglu": hf.Dinov2Model(hf.Dinov2Config(**common, use_swiglu_ffn=True)),
    "dinov2_registers": hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**common, num_register_tokens=3)),
    "ijepa": hf.IJepaModel(hf.IJepaConfig(**wide), add_pooling_layer=False),
    "dinov1": hf.ViTModel(hf.ViTConfig(**wide)),
    "mae": hf.ViTMAEForPreTraining(hf.ViTMAEConfig(**wide, mask_ratio=0.0, decoder_hidden_size=8, decoder_num_hidden_layers=1,
                                                   decoder_num_attention_heads=2, decoder_intermediate_size=16)),
    "clip": hf.CLIPModel(hf.CLIPConfig(
        vision_config=dict(wide, layer_norm_eps=1e-5, hidden_act="quick_gelu"),
        text_config=dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=20, max_position_embeddings=8),
        projection_dim=8)),
}
with torch.no_grad():
    for name, model in models.items():
        scatter(model)
        prefix = 4 if name == "dinov2_registers" else 0 if name == "ijepa" else 1
        if name == "mae":
            # The order of the noise is the order of the patches; the tokens are those before the last norm.
            noise = torch.arange((SIDE // PATCH) ** 2).float().repeat(2, 1)
            out = model.vit(x, noise=noise, output_hidden_states=True)
            tokens = out.hidden_states[-1]
            if torch.equal(tokens, out.last_hidden_state):
                raise SystemExit("this version's last hidden state is after the norm")
        elif name == "clip":
            out = model.vision_model(x, output_hidden_states=True)
            tokens = out.hidden_states[-1]
            expected["clip.pooled"] = out.pooler_output
        else:
            out = model(x)
            tokens = out.last_hidden_state
            if prefix:
                expected[name + ".pooled"] = tokens[:, 0]
        expected[name + ".tokens"] = tokens[:, prefix:]
        folder = here / name
        model.save_pretrained(folder)
        for beside in folder.glob("*.json"):
            beside.unlink()
        (folder / "model.safetensors").chmod(0o644)


def timm(folder):
    """The names of the official code for a model of Hugging Face's ViT line."""
    own, out = load_file(folder / "model.safetensors"), {}
    simple = {"embeddings.cls_token": "cls_token", "embeddings.position_embeddings": "pos_embed",
              "embeddings.patch_embeddings.projection": "patch_embed.proj", "encoder.layer": "blocks", "layernorm_before": "norm1",
              "layernorm_after": "norm2", "attention.output.dense": "attn.proj", "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2",
              "layernorm": "norm"}
    for key, value in own.items():
        if "pooler" in key or "attention.attention.key" in key or "attention.attention.value" in key:
            continue
        if "attention.attention.query" in key:
            value = torch.cat([own[key.replace("query", p)] for p in ("query", "key", "value")])
            key = key.replace("attention.attention.query", "attn.qkv")
        for a, b in simple.items():
            key = key.replace(a, b)
        out[key] = value
    return out


def under(prefix, state):
    return {prefix + k: v for k, v in state.items()}


# Training checkpoints hold a second network, which must not be taken: here of zeros.
vit, jepa = timm(here / "dinov1"), timm(here / "ijepa")
other = lambda state: {k: torch.zeros_like(v) for k, v in state.items()}
torch.save({"student": under("module.backbone.", other(vit)), "teacher": {**under("backbone.", vit), "head.mlp.0.weight": torch.zeros(2)}, "epoch": 3},
           here / "dino_full.pth", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "arch": "vit_base", "optimizer": {"state": {}}, "state_dict": {
    **under("module.base_encoder.", vit), "module.base_encoder.head.0.weight": torch.zeros(2),
    **under("module.momentum_encoder.", other(vit)), "module.predictor.0.weight": torch.zeros(2)}}, here / "moco.pth.tar")
torch.save({"encoder": under("module.", jepa), "predictor": {"module.predictor_norm.weight": torch.zeros(2)}, "opt": {"state": {}},
            "target_encoder": under("module.", other(jepa)), "epoch": 3}, here / "ijepa.pth.tar")


class Named(nn.Module):
    """Only its parameters matter."""

    def forward(self, x):
        return x


class Attention(Named):
    def __init__(self):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * DIM, DIM))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * DIM))
        self.out_proj = nn.Linear(DIM, DIM)


class Block(Named):
    def __init__(self):
        super().__init__()
        self.attn = Attention()
        self.ln_1 = nn.LayerNorm(DIM)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(DIM, 4 * DIM))
        self.mlp.add_module("c_proj", nn.Linear(4 * DIM, DIM))
        self.ln_2 = nn.LayerNorm(DIM)


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(DIM))
        self.positional_embedding = nn.Parameter(torch.empty((SIDE // PATCH) ** 2 + 1, DIM))
        self.proj = nn.Parameter(torch.empty(DIM, 8))
        self.conv1 = nn.Conv2d(3, DIM, PATCH, PATCH, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.transformer = Named()
        self.transformer.resblocks = nn.Sequential(*[Block() for _ in range(DEPTH)])

    def forward(self, x):
        return self.conv1(x)


class Clip(nn.Module):
    """The names of OpenAI's CLIP, which is published as a TorchScript archive in half precision."""

    def __init__(self):
        super().__init__()
        self.visual = Tower()
        self.token_embedding = nn.Embedding(20, 8)
        self.positional_embedding = nn.Parameter(torch.empty(8, 8))
        self.logit_scale = nn.Parameter(torch.zeros([]))
        self.register_buffer("input_resolution", torch.tensor(SIDE))

    def forward(self, x):
        return self.visual(x)


clip = Clip()
sd = models["clip"].vision_model.state_dict()
own = clip.visual.state_dict()
names = {"class_embedding": "embeddings.class_embedding", "positional_embedding": "embeddings.position_embedding.weight",
         "conv1.weight": "embeddings.patch_embedding.weight", "ln_pre": "pre_layrnorm", "ln_post": "post_layernorm", "ln_1": "layer_norm1",
         "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
         "transformer.resblocks": "encoder.layers"}
for key in own:
    if key == "proj":
        continue
    source = key
    for a, b in names.items():
        source = source.replace(a, b)
    if "in_proj" in key:
        base, leaf = source.rsplit(".", 1)[0].replace("attn", "self_attn"), key.rsplit("_", 1)[1]
        value = torch.cat([sd[f"{base}.{p}_proj.{leaf}"] for p in "qkv"])
    else:
        value = sd[source]
    own[key] = value
clip.visual.load_state_dict(own)
torch.jit.script(clip.half().eval()).save(str(here / "clip_jit.pt"))


class Tokens(nn.Module):
    """A class token and patches."""

    def __init__(self):
        super().__init__()
        self.conv, self.token = nn.Conv2d(3, 6, 4, 4), nn.Parameter(torch.randn(1, 1, 6))

    def forward(self, x):
        return torch.cat([self.token.expand(x.shape[0], -1, -1), self.conv(x).flatten(2).transpose(1, 2)], 1)


class Map(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))


class Several(Map):
    def forward(self, x) -> dict[str, torch.Tensor]:
        y = self.norm(self.conv(x))
        return {"pooled": y.mean([2, 3]), "map": y}


class Pair(Map):
    def forward(self, x):
        y = self.norm(self.conv(x))
        return y.mean([2, 3]), y


class Pooled(Map):
    def forward(self, x):
        return self.norm(self.conv(x)).mean([2, 3])


class Text(nn.Module):
    def forward(self, x) -> str:
        return "no tensor"


with torch.no_grad():
    tokens, net = Tokens().eval(), Map().eval()
    net.norm.running_mean.uniform_(-1, 1)
    torch.jit.trace(tokens, x).save(str(here / "tokens.pt"))
    torch.jit.script(net).train().save(str(here / "map.pt"))
    expected["tokens.tokens"], expected["map.tokens"] = tokens(x), net(x)
    for name, kind in [("dict", Several), ("pair", Pair), ("pooled", Pooled)]:
        other = kind().eval()
        other.load_state_dict(net.state_dict())
        torch.jit.script(other).save(str(here / f"{name}.pt"))
    torch.jit.script(Text()).save(str(here / "text.pt"))
save_file({k: v.contiguous() for k, v in expected.items()}, here / "expected.safetensors")
(here / "expected.safetensors").chmod(0o644)
