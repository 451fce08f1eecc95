"""Writes wide.safetensors for tests/it/models/encoders_wide.rs: what the published code computes of pictures that are no squares, with the weights that make.py and
make_today.py left here. Made with torch 2.11.0, transformers 5.24.0, timm 1.0.31 and einops 0.8, and with the code of three repositories, whose checkouts the
environment names:

    PERCEPTION_MODELS=.. DINOV2=.. DINO=.. python tests/data/encoders/make_wide.py

facebookresearch/perception_models@3e352cc, facebookresearch/dinov2@b8931f7, facebookresearch/dino@7c446df.
"""
import os
import pathlib
import sys

os.environ["XFORMERS_DISABLED"] = "1"
import timm.models.eva as eva
import timm.models.vision_transformer as timm_vit
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed

for name in ("PERCEPTION_MODELS", "DINOV2", "DINO"):
    sys.path.append(os.environ[name])
import core.vision_encoder.pe as pe
import vision_transformer as dino
from core.vision_encoder.config import PEConfig, PETextConfig
from dinov2.models.vision_transformer import DinoVisionTransformer as DinoV2

here = pathlib.Path(__file__).parent
torch.manual_seed(0)
SIDE, PATCH, DIM, DEPTH, HEADS = 16, 4, 16, 2, 2
# Wide and with more patches than the published 4 x 4, tall with as many columns as they have, and wide with as many patches in all.
inputs = {(h, w): torch.randn(1, 3, h, w) for h, w in ((12, 24), (24, 16), (8, 32))}
expected = {f"x{h}x{w}": x for (h, w), x in inputs.items()}


def note(name, of):
    for (h, w), x in inputs.items():
        expected[f"{name}.{h}x{w}"] = of(x)


def grid(x):
    return [x.shape[-2] // PATCH, x.shape[-1] // PATCH]


def load(path, *keys):
    state = torch.load(here / path, weights_only=True)
    for key in keys:
        state = state[key]
    return state


def under(prefix, state):
    return {k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix) and "head" not in k}


def pretrained(kind, folder, config):
    """A network of transformers, all of whose weights are in the folder."""
    model, report = kind.from_pretrained(here / folder, config=config, output_loading_info=True)
    if report["missing_keys"] or report["mismatched_keys"]:
        raise SystemExit(f"{folder}: {report}")
    return model.eval()


with torch.no_grad():
    # DINO's and DINOv2's own interpolation in the forward pass.
    model = dino.VisionTransformer([SIDE], patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, qkv_bias=True,
                                   norm_layer=lambda d: torch.nn.LayerNorm(d, eps=1e-6)).eval()
    state = under("backbone.", load("dino_full.pth", "teacher"))
    model.load_state_dict(state)
    note("dino", lambda x: model.get_intermediate_layers(x)[0][:, 1:])
    sizes = dict(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS)
    for name, offset, antialias in (("dinov2", 0.1, False), ("dinov2_aa", 0.0, True), ("dinov2_aa_offset", 0.1, True)):
        model = DinoV2(**sizes, mlp_ratio=4, ffn_layer="swiglu", init_values=1e-5, block_chunks=2, interpolate_offset=offset, interpolate_antialias=antialias).eval()
        model.load_state_dict(load("today/webssl_official.pth"))
        note(name, lambda x: model.forward_features(x)["x_norm_patchtokens"])

    # As REPA does it: timm resamples the published table once, for the network's own input.
    def resampled(state, size, **how):
        plain = timm_vit.VisionTransformer(**dict(sizes, img_size=size), num_classes=0, **how).eval()
        prefix = plain.num_prefix_tokens
        new = [size[0] // PATCH, size[1] // PATCH]
        plain.load_state_dict(dict(state, pos_embed=resample_abs_pos_embed(state["pos_embed"], new, num_prefix_tokens=prefix)))
        return lambda x: plain.forward_features(x)[:, prefix:]

    moco = under("module.base_encoder.", load("moco.pth.tar", "state_dict"))
    jepa = under("module.", load("ijepa.pth.tar", "encoder"))
    for name, state, how in (("dino_repa", state, {}), ("moco_repa", moco, {}), ("ijepa_repa", jepa, dict(class_token=False, global_pool="avg", fc_norm=False))):
        note(name, lambda x: resampled(state, tuple(x.shape[-2:]), **how)(x))

    def with_table(owner, model, **how):
        """A network of transformers with timm's table in place of its own interpolation."""
        def tokens(x):
            found = owner.position_embeddings if hasattr(owner, "position_embeddings") else owner.position_embedding.weight[None]
            owner.interpolate_pos_encoding = lambda *_: resample_abs_pos_embed(found, grid(x))
            return model(x, **how)
        return tokens

    common = dict(hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH, attn_implementation="eager")
    model = pretrained(hf.Dinov2Model, "dinov2", hf.Dinov2Config(**common))
    of = with_table(model.embeddings, model)
    note("dinov2_repa", lambda x: of(x).last_hidden_state[:, 1:])
    text = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=20, max_position_embeddings=8)
    model = pretrained(hf.CLIPModel, "clip", hf.CLIPConfig(
        vision_config=dict(common, intermediate_size=4 * DIM, layer_norm_eps=1e-5, hidden_act="quick_gelu"), text_config=text, projection_dim=8)).vision_model
    of = with_table(model.embeddings, model, interpolate_pos_encoding=True, output_hidden_states=True)
    note("clip_repa", lambda x: of(x).hidden_states[-1][:, 1:])

    # Rotary positions, and SigLIP 2's own interpolation.
    for name, weights, gated in (("dinov3", "dinov3", False), ("dinov3_gated", "dinov3_gated", True)):
        model = pretrained(hf.DINOv3ViTModel, f"today/{weights}", hf.DINOv3ViTConfig(
            **common, intermediate_size=64, num_register_tokens=3, use_gated_mlp=gated, hidden_act="silu" if gated else "gelu"))
        note(name, lambda x: model(x).last_hidden_state[:, 4:])
    model = eva.Eva(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=1, num_heads=HEADS, num_classes=0, qkv_bias=False, mlp_ratio=4, init_values=1e-5,
                    rope_type="dinov3", rope_temperature=100, rope_rotate_half=True, use_rot_pos_emb=True, use_abs_pos_emb=False, num_reg_tokens=3,
                    use_fc_norm=False, dynamic_img_size=True, norm_layer=lambda d, **k: torch.nn.LayerNorm(d, eps=1e-5, **k)).eval()
    model.load_state_dict(load_file(here / "today/dinov3_timm.safetensors"))
    note("dinov3_timm", lambda x: model.forward_features(x)[:, 4:])
    model = pretrained(hf.SiglipModel, "today/siglip2", hf.SiglipConfig(vision_config=dict(common, intermediate_size=72), text_config=text))
    note("siglip2", lambda x: model.vision_model(x, interpolate_pos_encoding=True).last_hidden_state)

    # Perception Encoder: a table and rotary positions.
    tower = dict(patch_size=PATCH, width=DIM, layers=DEPTH, heads=HEADS, mlp_ratio=4.0, image_size=SIDE, use_cls_token=True)
    core = pe.CLIP(PEConfig(**tower, output_dim=8, attn_pooler_heads=2),
                   PETextConfig(context_length=4, width=8, heads=2, layers=1, output_dim=8, vocab_size=20)).eval()
    core.load_state_dict(load("today/pe_core.pt"))
    note("pe_core", lambda x: core.visual.forward_features(x, strip_cls_token=True))
    spatial = pe.VisionTransformer(**tower, pool_type="none", use_ln_post=False, output_dim=None).eval()
    spatial.load_state_dict(load("today/pe_spatial.pt"))
    note("pe_spatial", lambda x: spatial.forward_features(x, strip_cls_token=True))

    # Pictures of another size and shape than the input's: REPA's bicubic after the normalisation, and the published processor's bilinear before it.
    pictures = torch.randint(0, 256, (1, 3, 20, 26), dtype=torch.uint8)
    expected["pictures"] = pictures
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected["pixels.repa"] = torch.nn.functional.interpolate((pictures / 255.0 - mean) / std, (12, 24), mode="bicubic")
    expected["pixels.dinov3"] = hf.DINOv3ViTImageProcessor()(images=list(pictures), return_tensors="pt", size={"height": 12, "width": 24})["pixel_values"]
save_file({k: v.contiguous() for k, v in expected.items()}, here / "wide.safetensors")
(here / "wide.safetensors").chmod(0o644)
