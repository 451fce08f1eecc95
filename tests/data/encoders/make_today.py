"""Writes the fixtures of tests/it/models/encoders_today.rs: small networks with seeded weights under the published names, and what the published code
computes from them. Made with torch 2.11.0, transformers 5.24.0, timm 1.0.31 and einops 0.8, and with the code of three repositories, whose checkouts
the environment names:

    PERCEPTION_MODELS=.. DINOV3=.. WEBSSL=.. python tests/data/encoders/make_today.py

facebookresearch/perception_models@3e352cc, facebookresearch/dinov3, facebookresearch/webssl@c85b60b.
"""
import os
import pathlib
import shutil
import sys

os.environ["XFORMERS_DISABLED"] = "1"
import timm.models.eva as eva
import timm.models.vision_transformer as timm_vit
import torch
import transformers as hf
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode, v2

for name in ("PERCEPTION_MODELS", "DINOV3", "WEBSSL"):
    sys.path.append(os.environ[name])
import core.vision_encoder.pe as pe
from core.vision_encoder.config import PEConfig, PETextConfig
from dinov2.vision_transformer import DinoVisionTransformer as WebSsl
from dinov3.models.vision_transformer import DinoVisionTransformer as DinoV3

here = pathlib.Path(__file__).parent / "today"
shutil.rmtree(here, ignore_errors=True)
here.mkdir()
torch.manual_seed(0)
SIDE, PATCH, DIM, DEPTH, HEADS = 16, 4, 16, 2, 2
# The published side, a larger and a smaller one.
inputs = {side: torch.randn(2, 3, side, side) for side in (SIDE, 24, 8)}
expected = {f"x{side}": x for side, x in inputs.items()}


def scatter(model):
    """Random values everywhere: fresh models have zeros and ones that would hide a swapped name."""
    for name, p in model.named_parameters():
        p.data.uniform_(-0.5, 0.5)
        if p.ndim == 1 and name.endswith("weight"):
            p.data.add_(1.0)
    return model.eval()


def folder(name, model, **how):
    model.save_pretrained(here / name, **how)
    for beside in (here / name).glob("*config.json"):
        beside.unlink()


def note(name, of, sides=tuple(inputs)):
    for side in sides:
        expected[f"{name}.{side}"] = of(inputs[side])


sizes = dict(hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH, attn_implementation="eager")
with torch.no_grad():
    # DINOv3 by transformers, by its own code, and by timm.
    for name, gated in (("dinov3", False), ("dinov3_gated", True)):
        # As the published configurations of the gated ones say.
        act = "silu" if gated else "gelu"
        model = scatter(hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**sizes, intermediate_size=64, num_register_tokens=3, use_gated_mlp=gated, hidden_act=act)))
        note(name, lambda x: model(x).last_hidden_state[:, 4:])
        expected[f"{name}.pooled"] = model(inputs[SIDE]).pooler_output
        folder(name, model)
    own = DinoV3(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, ffn_ratio=6, ffn_layer="swiglu", n_storage_tokens=3,
                 mask_k_bias=True, layerscale_init=1e-5, norm_layer="layernormbf16", pos_embed_rope_base=100, pos_embed_rope_rescale_coords=2,
                 pos_embed_rope_dtype="fp32")
    own.init_weights()
    scatter(own)
    note("dinov3_official", lambda x: own.forward_features(x)["x_norm_patchtokens"])
    torch.save(own.state_dict(), here / "dinov3_official.pth")
    for name, bias, depth in (("dinov3_timm_bias", True, DEPTH), ("dinov3_timm", False, 1)):
        model = scatter(eva.Eva(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=depth, num_heads=HEADS, num_classes=0, qkv_bias=bias, mlp_ratio=4,
                                init_values=1e-5, rope_type="dinov3", rope_temperature=100, rope_rotate_half=True, use_rot_pos_emb=True,
                                use_abs_pos_emb=False, swiglu_mlp=bias, swiglu_align_to=8, num_reg_tokens=3, use_fc_norm=False, dynamic_img_size=True,
                                norm_layer=lambda d, **k: torch.nn.LayerNorm(d, eps=1e-5, **k)))
        note(name, lambda x: model.forward_features(x)[:, 4:])
        save_file(model.state_dict(), here / f"{name}.safetensors")

    # SigLIP 2: the whole model as it is published, timm's names, and a NaFlex one.
    text = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=20, max_position_embeddings=8)
    model = scatter(hf.SiglipModel(hf.SiglipConfig(vision_config=dict(sizes, intermediate_size=72), text_config=text)))
    vision = model.vision_model
    note("siglip2", lambda x: vision(x, interpolate_pos_encoding=True).last_hidden_state)
    folder("siglip2", model)
    model = scatter(timm_vit.VisionTransformer(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=1, num_heads=HEADS, mlp_ratio=4.5, num_classes=0,
                                               class_token=False, global_pool="map", act_layer="gelu_tanh"))
    note("siglip2_timm", model.forward_features, (SIDE,))
    save_file(model.state_dict(), here / "siglip2_timm.safetensors")
    naflex = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_patches=16, patch_size=PATCH)
    folder("naflex", scatter(hf.Siglip2VisionModel(hf.Siglip2VisionConfig(**naflex))))

    # Web-SSL by transformers, in several files, and by its own code, in chunks of blocks.
    model = scatter(hf.Dinov2Model(hf.Dinov2Config(**sizes, use_swiglu_ffn=True)))
    note("webssl", lambda x: model(x).last_hidden_state[:, 1:], (SIDE,))
    folder("webssl", model, max_shard_size="16KB")
    own = scatter(WebSsl(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, mlp_ratio=4, ffn_layer="swiglu", init_values=1e-5,
                         block_chunks=2))
    note("webssl_official", lambda x: own.forward_features(x)["x_norm_patchtokens"])
    torch.save(own.state_dict(), here / "webssl_official.pth")

    # Perception Encoder: a whole CLIP, an image tower alone, and the first one under timm's names.
    tower = dict(patch_size=PATCH, width=DIM, layers=DEPTH, heads=HEADS, mlp_ratio=4.0, image_size=SIDE, use_cls_token=True)
    core = scatter(pe.CLIP(PEConfig(**tower, output_dim=8, attn_pooler_heads=2), PETextConfig(context_length=4, width=8, heads=2, layers=1, output_dim=8, vocab_size=20)))
    note("pe_core", lambda x: core.visual.forward_features(x, strip_cls_token=True))
    expected["pe_core.pooled"] = core.visual.forward_features(inputs[SIDE], norm=True)[:, 0]
    torch.save(core.state_dict(), here / "pe_core.pt")
    spatial = scatter(pe.VisionTransformer(**tower, pool_type="none", use_ln_post=False, output_dim=None))
    note("pe_spatial", lambda x: spatial.forward_features(x, strip_cls_token=True))
    torch.save(spatial.state_dict(), here / "pe_spatial.pt")
    other = eva.Eva(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, num_classes=8, global_pool="map", attn_type="rope",
                    use_pre_transformer_norm=True, use_rot_pos_emb=True, ref_feat_shape=(4, 4), rope_grid_offset=1.0, rope_grid_indexing="xy",
                    attn_pool_num_heads=2, attn_pool_mlp_ratio=4.0, norm_layer=lambda d, **k: torch.nn.LayerNorm(d, eps=1e-5, **k)).eval()
    other.load_state_dict(eva.checkpoint_filter_fn(core.state_dict(), other))
    tokens = other.forward_intermediates(inputs[SIDE], indices=1, norm=False, output_fmt="NLC", intermediates_only=True)[0]
    if (tokens - expected[f"pe_core.{SIDE}"]).abs().max() > 1e-5:
        raise SystemExit("timm and perception_models do not agree")
    save_file(other.state_dict(), here / "pe_core_timm.safetensors")

    # Pictures: what the published processors make of them for the sides of the inputs.
    pictures = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    expected["pictures"] = pictures
    of = lambda processor: processor(images=list(pictures), return_tensors="pt", size={"height": SIDE, "width": SIDE})["pixel_values"]
    expected["pixels.dinov3"] = of(hf.DINOv3ViTImageProcessor())
    # As the published `preprocessor_config.json` says.
    expected["pixels.siglip2"] = of(hf.SiglipImageProcessor(resample=2))
    chain = v2.Compose([v2.Resize((SIDE, SIDE), interpolation=InterpolationMode.BILINEAR), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)])
    expected["pixels.pe"] = chain(pictures)
save_file({k: v.contiguous() for k, v in expected.items()}, here / "expected.safetensors")
for path in here.rglob("*"):
    path.chmod(0o755 if path.is_dir() else 0o644)
