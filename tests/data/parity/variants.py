"""Makes fixtures like those of tests/golden, of other sizes, seeds and variants, by running the public PyTorch code:

    python tests/data/parity/variants.py /tmp/variants [sit vae sampler loss traj vfm eval crop misc]
    LATHE_GOLDEN=/tmp/variants make parity

REPAE, DINO and DINOV2 name checkouts of End2End-Diffusion/REPA-E, facebookresearch/dino and facebookresearch/dinov2. Needs torch 2.11.0, timm 1.0.11,
torchvision, einops, dictdot, numpy, scipy, safetensors and Pillow 13.0.0; all runs on the CPU. tests/golden/README.md describes the format.
"""
import copy
import hashlib
import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import sys
import types

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "golden"
REPAE = os.environ.get("REPAE", "REPA-E")
sys.path[:0] = [REPAE, str(HERE.parent)]
from hashinit import hashed

torch.set_num_threads(1)
# Modules that the reference imports and these fixtures do not use.
for name in ["clip", "requests", "tqdm"]:
    if importlib.util.find_spec(name) is None:
        stub = types.ModuleType(name)
        stub.tqdm, stub.__spec__ = (lambda x, **k: x), importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = stub

def normalish(seed, name, shape, std):
    return hashed(seed, name, shape, -std * math.sqrt(3), std * math.sqrt(3))


def bounds(name, shape, gain):
    leaf = name.split(".")[-1]
    if leaf == "running_var":
        return 0.5, 1.5
    if "embedding_table" in name or leaf in ("cls_token", "pos_embed", "class_embedding", "positional_embedding", "register_tokens"):
        return -0.5, 0.5
    if len(shape) >= 2 and int(np.prod(shape[1:])) > 0 and leaf != "gamma":
        b = gain * math.sqrt(3.0 / int(np.prod(shape[1:])))
        return -b, b
    if leaf in ("weight", "gamma"):
        return 0.7, 1.3
    return -0.1, 0.1


def fill(module, seed, prefix="", skip=(), gain=1.0):
    """Hashed values in all parameters and float buffers but `skip`; the spec."""
    spec = {}
    with torch.no_grad():
        for name, t in module.state_dict().items():
            if not t.is_floating_point() or name in skip or name.split(".")[0] in skip:
                continue
            lo, hi = bounds(name, tuple(t.shape), gain)
            spec[name] = {"shape": list(t.shape), "lo": lo, "hi": hi}
            t.copy_(hashed(seed, prefix + name, tuple(t.shape), lo, hi))
    return spec


def save(path, tensors, meta):
    path = OUT / path
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
    if tensors:
        save_file(tensors, path.with_suffix(".safetensors"))
        meta["tensors"] = {k: {"shape": list(v.shape), "dtype": str(v.dtype).split(".")[-1]} for k, v in tensors.items()}
    path.with_suffix(".json").write_text(json.dumps(meta))
    print("made", path)


def norms(module):
    return {n: float(p.grad.double().norm()) for n, p in module.named_parameters() if p.grad is not None}


# ---- SiT


def sit_model(c, seed, prefix="", dtype=torch.float32):
    from models.sit import SiT

    net = SiT(**c)
    spec = fill(net, seed, prefix, skip=("pos_embed", "bn"))
    return net.to(dtype), spec


def sit_config(**k):
    c = dict(path_type="edm", mlp_ratio=4.0, class_dropout_prob=0.1, num_classes=10, bn_momentum=0.1, qk_norm=False, fused_attn=True)
    c.update(k)
    c["decoder_hidden_size"] = c["hidden_size"]
    return c


def sit():
    cases = {
        "odd": ("linear", 2, sit_config(input_size=5, patch_size=1, in_channels=6, hidden_size=48, depth=3, num_heads=3, encoder_depth=1, z_dims=[40],
                                        projector_dim=56, num_classes=7, bn_momentum=0.25, mlp_ratio=2.0)),
        "deep": ("cosine", 4, sit_config(input_size=6, patch_size=2, in_channels=5, hidden_size=80, depth=5, num_heads=5, encoder_depth=5,
                                         z_dims=[24, 32, 16], projector_dim=64, qk_norm=True, bn_momentum=0.05, class_dropout_prob=0.3)),
        "p4": ("linear", 1, sit_config(input_size=16, patch_size=4, in_channels=3, hidden_size=64, depth=2, num_heads=1, encoder_depth=2, z_dims=[64],
                                       projector_dim=128, num_classes=1000, qk_norm=True)),
        "p8": ("cosine", 3, sit_config(input_size=16, patch_size=8, in_channels=4, hidden_size=32, depth=4, num_heads=2, encoder_depth=3, z_dims=[16],
                                       projector_dim=32, num_classes=3, fused_attn=False)),
    }
    for i, (name, (path, batch, c)) in enumerate(cases.items()):
        seed = 1300 + i
        net, spec = sit_model(c, seed)
        tokens = (c["input_size"] // c["patch_size"]) ** 2
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(batch, c["in_channels"], c["input_size"], c["input_size"], generator=g) * 1.3 + 0.2
        y = torch.randint(0, c["num_classes"], (batch,), generator=g)
        t = torch.rand(batch, 1, 1, 1, generator=g)
        noises = torch.randn(x.shape, generator=g)
        zs = [torch.randn(batch, tokens, z, generator=g) for z in c["z_dims"]]
        mean, var = torch.randn(c["in_channels"], generator=g) * 0.3, torch.rand(c["in_channels"], generator=g) + 0.5
        out = {"x": x, "y": y, "time_input": t, "noises": noises, "bn0.running_mean": mean, "bn0.running_var": var, "pos_embed": net.pos_embed}
        out |= {f"zs.{i}": z for i, z in enumerate(zs)}
        kw = dict(path_type=path, prediction="v", weighting="uniform", align_only=False)
        reset(net, mean, var)
        net.train()
        no_drop(net)
        r = net(x, y, zs, kw, time_input=t, noises=noises)
        loss = r["denoising_loss"].mean() + 0.5 * r["proj_loss"]
        loss.backward()
        out |= {"train.model_output": r["model_output"], "train.denoising_loss": r["denoising_loss"], "train.proj_loss": r["proj_loss"], "train.loss": loss}
        out |= {f"train.bn_{k}": v.clone() for k, v in net.bn.named_buffers()}
        out |= {f"train.zs_tilde.{i}": z for i, z in enumerate(r["zs_tilde"])}
        grads = norms(net)
        wanted = ["x_embedder.proj.weight", "y_embedder.embedding_table.weight", "blocks.0.attn.qkv.bias", f"blocks.{c['depth'] - 1}.mlp.fc2.bias",
                  "projectors.0.4.bias", "final_layer.linear.weight"] + (["blocks.0.attn.q_norm.weight"] if c["qk_norm"] else [])
        out |= {f"train.grad.{n}": p.grad.clone() for n, p in net.named_parameters() if n in wanted}
        fixed = [n for n, p in net.named_parameters() if not p.requires_grad]
        reset(net, mean, var)
        net.bn.eval()
        with torch.no_grad():
            r = net(x, y, zs, kw, time_input=t, noises=noises)
        for k in ["model_output", "denoising_loss", "proj_loss"]:
            out[f"train_bnfrozen.{k}"] = r[k]
        rand = torch.rand(batch, generator=g)
        rand[0] = 0.01
        del net.y_embedder.token_drop
        with torch.no_grad(), recorded([rand]):
            r = net(x, y, zs, kw, time_input=t, noises=noises)
        out |= {"drop.rand": rand, "drop.prob": torch.tensor(c["class_dropout_prob"]), "drop.model_output": r["model_output"],
                "drop.denoising_loss": r["denoising_loss"]}
        reset(net, mean, var)
        net.eval()
        for p in net.parameters():
            p.requires_grad = False
        xg = x.clone().requires_grad_(True)
        r = net(xg, y, zs, kw | {"align_only": True}, time_input=t, noises=noises)
        r["proj_loss"].backward()
        out |= {"align.proj_loss": r["proj_loss"], "align.grad_x": xg.grad, "align.model_output_after_break": r["model_output"]}
        out |= {f"align.zs_tilde.{i}": z for i, z in enumerate(r["zs_tilde"])}
        ti = torch.rand(batch, generator=g)
        out |= {"infer.t": ti, "infer.out": net.inference(x, ti, y), "infer.out_null_label": net.inference(x, ti, torch.full_like(y, c["num_classes"])),
                "t_freq": net.t_embedder.positional_embedding(ti, 256)}
        for depth in {1, c["depth"]}:
            out[f"infer.feats_depth{depth}"] = net.forward_feats(x, ti, y, depth)
        save(f"sit/sit_{name}", out, {"kind": "sit", "config": c, "seed": seed, "path_type": path, "weights": "hashinit", "spec": spec,
                                      "train_grad_norms": grads, "params_without_requires_grad": fixed})


def reset(net, mean, var):
    net.zero_grad()
    net.bn.running_mean.copy_(mean)
    net.bn.running_var.copy_(var)
    net.bn.num_batches_tracked.zero_()


def no_drop(net):
    net.y_embedder.token_drop = lambda labels, force_drop_ids=None: labels


class recorded:
    """torch.rand gives what was recorded."""

    def __init__(self, draws):
        self.draws = list(draws)

    def __enter__(self):
        self.real = torch.rand
        torch.rand = lambda *a, **k: self.draws.pop(0)

    def __exit__(self, *a):
        torch.rand = self.real


# ---- VAE


def vae_model(c, seed, prefix="", dtype=torch.float32):
    from models import autoencoder as ae

    args = {k: c[k] for k in ["ch", "ch_mult", "num_res_blocks", "attn_resolutions", "resolution", "z_channels"]}
    net = ae.AutoencoderKL(4, [1, 1])
    net.encoder, net.decoder = ae.Encoder(**args), ae.Decoder(**args)
    e = c["embed_dim"]
    net.quant_conv, net.post_quant_conv = torch.nn.Conv2d(2 * c["z_channels"], 2 * e, 1), torch.nn.Conv2d(e, c["z_channels"], 1)
    spec = fill(net, seed, prefix)
    return net.to(dtype), spec


def vae():
    cases = {
        "wide_attention": (dict(ch=32, ch_mult=[1, 2, 2], num_res_blocks=1, attn_resolutions=[64, 128], resolution=256, z_channels=6, embed_dim=6), [2, 3, 24, 40]),
        "one_level": (dict(ch=64, ch_mult=[1], num_res_blocks=3, attn_resolutions=[], resolution=32, z_channels=3, embed_dim=3), [1, 3, 9, 7]),
        "first_attention": (dict(ch=32, ch_mult=[2, 1], num_res_blocks=2, attn_resolutions=[32], resolution=32, z_channels=8, embed_dim=4), [3, 3, 16, 16]),
    }
    for i, (name, (c, shape)) in enumerate(cases.items()):
        seed = 1100 + i
        net, spec = vae_model(c, seed)
        g = torch.Generator().manual_seed(seed)
        x = torch.rand(*shape, generator=g) * 2 - 1
        p = net.encode(x)
        eps = torch.randn(p.mean.shape, generator=g)
        z = p.mean + p.std * eps
        out = {"x": x, "eps": eps, "moments": p.parameters, "mean": p.mean, "logvar": p.logvar, "std": p.std, "var": p.var, "kl": p.kl(),
               "nll_of_z": p.nll(z), "z": z, "recon_mean": net.decode(p.mean).sample, "recon_z": net.decode(z).sample}
        xg = x.clone().requires_grad_(True)
        loss = net.decode(net.encode(xg).mean).sample.pow(2).sum()
        loss.backward()
        grads = norms(net)
        wanted = ["encoder.conv_in.weight", "encoder.mid.attn_1.q.bias", "encoder.norm_out.bias", "decoder.conv_out.weight", "quant_conv.weight"]
        out |= {"loss_sumsq": loss, "grad.x": xg.grad} | {f"grad.{n}": p_.grad.clone() for n, p_ in net.named_parameters() if n in wanted}
        net.zero_grad()
        xg = x.clone().requires_grad_(True)
        p = net.encode(xg)
        loss = net.decode(p.mean + p.std * eps).sample.abs().mean() + 1e-6 * p.kl().sum() / shape[0]
        loss.backward()
        out |= {"loss_l1kl": loss, "grad2.x": xg.grad, "grad2.quant_conv.weight": net.quant_conv.weight.grad}
        save(f"vae/vae_{name}", out, {"kind": "vae", "config": c, "weights": "hashinit", "seed": seed, "spec": spec, "grad_norms": grads})


# ---- samplers


def sampler():
    from samplers import euler_maruyama_sampler, euler_sampler

    for name, seed, c, batch in [
        ("a", 1400, sit_config(input_size=4, patch_size=2, in_channels=3, hidden_size=48, depth=2, num_heads=3, encoder_depth=1, z_dims=[16], projector_dim=32,
                               num_classes=1000, qk_norm=True), 3),
        ("b", 1401, sit_config(input_size=3, patch_size=1, in_channels=7, hidden_size=32, depth=3, num_heads=4, encoder_depth=2, z_dims=[16], projector_dim=32,
                               num_classes=1000), 1),
    ]:
        net, spec = sit_model(c, seed)
        net.eval()
        g = torch.Generator().manual_seed(seed)
        latents = torch.randn(batch, c["in_channels"], c["input_size"], c["input_size"], generator=g)
        y = torch.randint(0, 1000, (batch,), generator=g)
        out, cases = {"latents": latents, "y": y}, []
        kinds = [
            dict(mode="ode", num_steps=1, heun=True, cfg_scale=1.0), dict(mode="ode", num_steps=7, heun=True, cfg_scale=4.0, guidance_low=0.0, guidance_high=0.75),
            dict(mode="ode", num_steps=3, heun=False, cfg_scale=1.5, path_type="cosine"), dict(mode="ode", num_steps=10, heun=False, cfg_scale=2.0, guidance_low=0.3, guidance_high=0.5),
            dict(mode="sde", num_steps=2, cfg_scale=1.0, path_type="cosine"), dict(mode="sde", num_steps=9, cfg_scale=2.5, guidance_low=0.0, guidance_high=0.75, path_type="linear"),
            dict(mode="sde", num_steps=5, cfg_scale=1.8, guidance_low=0.3, guidance_high=1.0, path_type="cosine", heun=False), dict(mode="sde", num_steps=1, cfg_scale=3.0),
        ]
        for i, k in enumerate(kinds):
            calls, draws = [], []
            real, randn = net.inference, torch.randn_like

            def watched(x, t, y):
                calls.append({"batch": x.shape[0], "t": float(t[0]), "tdtype": str(t.dtype), "xdtype": str(x.dtype)})
                return real(x, t, y)

            def drawn(x, **kw):
                draws.append(torch.randn(x.shape, generator=g, dtype=torch.float64))
                return draws[-1]

            net.inference, torch.randn_like = watched, drawn
            args = {a: v for a, v in k.items() if a != "mode"}
            out[f"case{i}.out"] = (euler_sampler if k["mode"] == "ode" else euler_maruyama_sampler)(net, latents, y, **args)
            torch.randn_like = randn
            del net.inference
            if draws:
                out[f"case{i}.noise"] = torch.stack(draws)
            cases.append({"case": i} | k | {"model_calls": calls})
        save(f"sampler/sampler_{name}", out, {"kind": "sampler", "config": c, "seed": seed, "weights": "hashinit", "spec": spec, "cases": cases})


# ---- losses


def lpips_net(seed, dtype=torch.float32):
    """The reference's PerceptualLoss with hashed VGG16 and the published heads; its spec under torchvision's names."""
    import torchvision.models as tv
    from loss import lpips as reference

    heads = {k: v for k, v in load_file(GOLDEN / "loss/lpips.safetensors").items() if k.startswith("lin")}
    real, tv.vgg16 = tv.vgg16, lambda weights=None: real(weights=None)
    reference.LPIPS.load_pretrained = lambda self: None
    net = reference.LPIPS().eval()
    tv.vgg16 = real
    spec = {}
    with torch.no_grad():
        for name, p in net.net.named_parameters():
            own = "features." + name.split(".", 1)[1]
            lo, hi = bounds(own, tuple(p.shape), 1.4)
            spec[own] = {"shape": list(p.shape), "lo": lo, "hi": hi, "ref_name": "perceptual_loss.lpips.net." + name}
            p.copy_(hashed(seed, own, tuple(p.shape), lo, hi))
        state = net.state_dict()
        for k, v in heads.items():
            key = k if k in state else k.replace(".model.1.", ".model.0.")
            state[key].copy_(v)
    return net.to(dtype), spec, heads


def single_stage(losses, seed, ndf=64, disc_prefix="", dtype=torch.float32):
    from dictdot import dictdot
    import loss.perceptual_loss as pl
    from loss import losses as reference
    from loss.discriminator import NLayerDiscriminator

    net, vgg_spec, heads = lpips_net(seed)
    pl.LPIPS = lambda: net
    cfg = types.SimpleNamespace(losses=Attr(losses), model=types.SimpleNamespace(vq_model={"quantize_mode": "vae"}))
    full = reference.ReconstructionLoss_Single_Stage(cfg)
    if ndf != 64:
        full.discriminator = NLayerDiscriminator(input_nc=3, ndf=ndf, n_layers=3)
    disc_spec = fill(full.discriminator, seed, disc_prefix, gain=1.4)
    return full.to(dtype), vgg_spec, disc_spec, heads


class Attr(dict):
    __getattr__ = dict.__getitem__


def loss():
    from loss.discriminator import NLayerDiscriminator
    from models.autoencoder import DiagonalGaussianDistribution

    for i, (shape, strides) in enumerate([([2, 3, 48, 80], [8, 8, 4, 4, 2]), ([1, 3, 40, 40], [8, 8, 4, 4, 2])]):
        seed = 1500 + i
        net, spec, heads = lpips_net(seed)
        a, b = hashed(seed, "in.a", shape, -1, 1), hashed(seed, "in.b", shape, -1, 1)
        a, b = a.requires_grad_(True), b.requires_grad_(True)
        value = net(a, b)
        value.mean().backward()
        out = {"a": a, "b": b, "lpips": value, "grad_a_of_mean": a.grad, "grad_b_of_mean": b.grad} | heads
        with torch.no_grad():
            fa, fb = (net.net(net.scaling_layer(v * 2.0 - 1.0)) for v in (a, b))
            for k, (x, y) in enumerate(zip(fa, fb)):
                from loss.lpips import normalize_tensor, spatial_average

                out[f"layer{k}"] = spatial_average(getattr(net, f"lin{k}").model((normalize_tensor(x) - normalize_tensor(y)) ** 2)).reshape(shape[0], 1)
                out[f"feat{k}_a_strided"] = x[:, ::16, :: strides[k], :: strides[k]]
        save(f"loss/lpips_{i}", out, {"kind": "lpips", "seed": seed, "spec": spec})

    for ndf, layers, shape in [(16, 2, [3, 3, 40, 56]), (8, 4, [2, 3, 96, 64]), (24, 1, [1, 3, 33, 35])]:
        seed = 1510 + layers
        net = NLayerDiscriminator(input_nc=3, ndf=ndf, n_layers=layers)
        spec = fill(net, seed, gain=1.4)
        x = hashed(seed, "in.x", shape, -1, 1).requires_grad_(True)
        net.eval()
        with torch.no_grad():
            out = {"x": x, "eval.logits": net(x)}
        net.train()
        y = net(x)
        value = -y.mean() + F.relu(1 - y).mean()
        value.backward()
        out |= {"train.logits": y, "train.loss": value, "train.grad_x": x.grad, "train.grad.main.0.weight": net.main[0].weight.grad}
        out |= {f"after.{k}": v.clone() for k, v in net.named_buffers()}
        save(f"loss/disc_l{layers}", out, {"kind": "patchgan", "ndf": ndf, "n_layers": layers, "seed": seed, "weights": "hashinit", "spec": spec, "grad_norms": norms(net)})

    base = dict(discriminator_start=0, discriminator_factor=1.0, discriminator_weight=0.1, quantizer_weight=1.0, perceptual_loss="lpips", perceptual_weight=1.0,
                reconstruction_loss="l1", reconstruction_weight=1.0, lecam_regularization_weight=0.0, kl_weight=1e-6, logvar_init=0.0)
    cases = {
        "mixed": (dict(reconstruction_loss="l2", reconstruction_weight=2.5, logvar_init=0.6, perceptual_weight=0.3, kl_weight=1e-4, discriminator_factor=0.7), 0, [2, 3, 48, 40]),
        "lecam": (dict(lecam_regularization_weight=0.3, lecam_ema_decay=0.9, discriminator_start=5), 5, [1, 3, 40, 56]),
        "no_gan": (dict(discriminator_weight=0.0, logvar_init=-0.5), 3, [2, 3, 32, 32]),
        "before": (dict(discriminator_start=4, lecam_regularization_weight=0.1), 3, [2, 3, 32, 48]),
    }
    for i, (name, (given, step, shape)) in enumerate(cases.items()):
        seed, losses = 1520 + i, base | given
        full, vgg_spec, disc_spec, heads = single_stage(losses, seed)
        full.train()
        full.perceptual_loss.eval()
        x, r = hashed(seed, "in.x", shape, -1, 1), hashed(seed, "in.recon", shape, -1, 1).requires_grad_(True)
        m = hashed(seed, "in.moments", [shape[0], 8, shape[2] // 8, shape[3] // 8], -2, 2).requires_grad_(True)
        if losses["lecam_regularization_weight"] > 0:
            full.ema_real_logits_mean.fill_(0.4)
            full.ema_fake_logits_mean.fill_(-0.2)
        total, log = full(x, r, DiagonalGaussianDistribution(m), step, "generator")
        total.backward()
        out = {"inputs": x, "reconstructions": r, "moments": m, "gen.total": total, "gen.grad_reconstructions": r.grad, "gen.grad_moments": m.grad}
        out |= {f"gen.dict.{k}": torch.as_tensor(v).float() for k, v in log.items()} | {f"gen.after.{k}": v.clone() for k, v in full.discriminator.named_buffers()}
        full.zero_grad()
        d, log = full(x, r.detach(), None, step, "discriminator")
        d.backward()
        out |= {"disc.total": d} | {f"disc.dict.{k}": torch.as_tensor(v).float() for k, v in log.items()}
        out |= {f"disc.after.{k}": v.clone() for k, v in full.discriminator.named_buffers()}
        if losses["lecam_regularization_weight"] > 0:
            out |= {f"disc.after.{k}": getattr(full, k) for k in ["ema_real_logits_mean", "ema_fake_logits_mean"]}
        save(f"loss/recon_loss_{name}", out, {"kind": "recon_loss", "config": {"model": {"vq_model": {"quantize_mode": "vae"}}, "losses": losses}, "seed": seed,
                                             "global_step": step, "vgg_spec": vgg_spec, "disc_spec": disc_spec, "disc_grad_norms": norms(full.discriminator)})

    seed, shape = 1530, [3, 12, 2, 5]
    m = hashed(seed, "in.m", shape, -40, 30).requires_grad_(True)
    p = DiagonalGaussianDistribution(m)
    eps, w = (normalish(seed, n, tuple(p.mean.shape), 1) for n in ["in.eps", "in.w"])
    z = p.mean + p.std * eps
    value = (z * w).sum() + 1e-6 * p.kl().sum() / shape[0]
    value.backward()
    save("loss/posterior_wide", {"moments": m, "eps": eps, "w": w, "mean": p.mean, "logvar": p.logvar, "std": p.std, "var": p.var, "kl": p.kl(), "nll": p.nll(z),
                                 "z": z, "loss": value, "grad_moments": m.grad}, {"kind": "posterior", "seed": seed})


# ---- trajectories


def trajectory(name, c, dtype):
    """The steps of train_repae.py or train_ldm_only.py with given draws: logs, gradients of the first step, final state."""
    seed, b = c["seed"], c["batch"]
    s = sit_config(input_size=c["latent"], patch_size=c["patch"], in_channels=c["embed_dim"], hidden_size=c["hidden"], depth=c["depth"], num_heads=c["heads"],
                   encoder_depth=c["enc_depth"], z_dims=c["z_dims"], projector_dim=c["pd"], qk_norm=c["qk"], num_classes=c["num_classes"],
                   class_dropout_prob=c["cfg_prob"], bn_momentum=c["bn_momentum"])
    sit, sit_spec = sit_model(s, seed, "sit.", dtype)
    ema = copy.deepcopy(sit)
    scale, bias = hashed(seed, "scale", [c["embed_dim"]], 0.5, 1.5), hashed(seed, "bias", [c["embed_dim"]], -0.3, 0.3)
    sit.init_bn(scale.to(dtype).clone(), bias.to(dtype).clone())
    update_ema(ema, sit, 0.0)
    specs = {"sit": sit_spec}
    adam = dict(betas=tuple(c["betas"]), weight_decay=c["wd"], eps=c.get("adam_eps", 1e-8))
    opt = torch.optim.AdamW(sit.parameters(), lr=c["lr"], **adam)
    trained = {"sit": sit}
    if c["joint"]:
        v = dict(ch=32, ch_mult=c["ch_mult"], num_res_blocks=c["nres"], attn_resolutions=[], resolution=256, z_channels=c["embed_dim"], embed_dim=c["embed_dim"])
        vae, specs["vae"] = vae_model(v, seed, "vae.", dtype)
        full, specs["vgg"], specs["disc"], heads = single_stage(LOSSES, seed, c["ndf"], "disc.", dtype)
        opt_vae = torch.optim.AdamW(vae.parameters(), lr=c["lr_vae"], **adam)
        opt_disc = torch.optim.AdamW(full.parameters(), lr=c["lr_disc"], **adam)
        trained |= {"vae": vae, "disc": full.discriminator}
        full.train()
        full.perceptual_loss.eval()
    g = torch.Generator().manual_seed(seed)
    zshape = (b, c["embed_dim"], c["latent"], c["latent"])
    lognormal = c["weighting"] == "lognormal"
    out, rows, step0 = {"latents_scale": scale, "latents_bias": bias}, [], {}
    rng, labels, images = [[] for _ in range(4)], [], []
    clip = torch.nn.utils.clip_grad_norm_
    kw = dict(path_type=c["path"], prediction="v", weighting=c["weighting"])
    for step in range(c["steps"]):
        y = torch.randint(0, c["num_classes"], (b,), generator=g)
        draws = [torch.randn(zshape, generator=g), (torch.randn if lognormal else torch.rand)((b, 1, 1, 1), generator=g), torch.randn(zshape, generator=g),
                 torch.rand(b, generator=g)]
        for kept, d in zip(rng, draws):
            kept.append(d)
        labels.append(y)
        zs = [normalish(seed, f"zs{i}.step{step}", (b, (c["latent"] // c["patch"]) ** 2, z), 1).to(dtype) for i, z in enumerate(c["z_dims"])]
        time = draws[1].to(dtype)
        if lognormal:
            sigma = time.exp()
            time = sigma / (1 + sigma) if c["path"] == "linear" else 2 / math.pi * torch.atan(sigma)
        noise = draws[2].to(dtype)
        sit.y_embedder.token_drop = lambda l, force_drop_ids=None, r=draws[3]: torch.where(r < c["cfg_prob"], c["num_classes"], l)
        log = {}
        if c["joint"]:
            u8 = torch.randint(0, 256, (b, 3, c["latent"] * 2 ** (len(c["ch_mult"]) - 1), c["latent"] * 2 ** (len(c["ch_mult"]) - 1)), generator=g, dtype=torch.uint8)
            images.append(u8)
            x = u8.to(dtype) / 127.5 - 1.0
            vae.train()
            posterior = vae.encode(x)
            z = posterior.mean + posterior.std * draws[0].to(dtype)
            recon = vae.decode(z).sample
            for p in sit.parameters():
                p.requires_grad = False
            sit.eval()
            value, parts = generator(full, x, recon, posterior, step)
            align = sit(z, y, zs, kw | {"align_only": True}, time_input=time, noises=noise)["proj_loss"]
            value = value + c["vae_align_proj_coeff"] * align
            value.backward()
            keep(step0, step, "vae", vae)
            norm = clip(vae.parameters(), c["max_grad_norm"])
            opt_vae.step(), opt_vae.zero_grad(set_to_none=True)
            d, dparts = discriminator(full, x, recon, step)
            d.backward()
            keep(step0, step, "disc", full.discriminator)
            dnorm = clip(full.parameters(), c["max_grad_norm"])
            opt_disc.step(), opt_disc.zero_grad(set_to_none=True)
            for p in sit.parameters():
                p.requires_grad = True
            log |= {k: parts[k] for k in ["reconstruction_loss", "perceptual_loss", "kl_loss", "weighted_gan_loss", "gan_loss"]}
            log |= {"vae_loss": value, "grad_norm_vae": norm, "vae_align_loss": align, "d_loss": d, "grad_norm_disc": dnorm, "logits_real": dparts["logits_real"],
                    "logits_fake": dparts["logits_fake"]}
            sit.train()
            z = z.detach()
        else:
            mean = normalish(seed, f"latmean.step{step}", zshape, 0.9).to(dtype)
            std = hashed(seed, f"latstd.step{step}", zshape, 0.01, 0.3).to(dtype)
            z = mean + std * draws[0].to(dtype)
            sit.train()
            sit.bn.eval()
        r = sit(z, y, zs, kw | {"align_only": False}, time_input=time, noises=noise)
        value = r["denoising_loss"].mean() + c["proj_coeff"] * r["proj_loss"].mean()
        value.backward()
        keep(step0, step, "sit", sit)
        norm = clip(sit.parameters(), c["max_grad_norm"])
        opt.step(), opt.zero_grad(set_to_none=True)
        update_ema(ema, sit, c["ema_decay"])
        log |= {"sit_loss": value, "denoising_loss": r["denoising_loss"].mean(), "proj_loss": r["proj_loss"], "grad_norm_sit": norm}
        if c["joint"]:
            log |= {"bn_running_mean_l2": sit.bn.running_mean.norm(), "bn_running_var_l2": sit.bn.running_var.norm(), "ema_bn_running_var_l2": ema.bn.running_var.norm()}
        rows.append({k: float(v) for k, v in log.items()})
    out |= {f"rng.{i}": torch.stack(d) for i, d in enumerate(rng)} | {"labels": torch.cat(labels)}
    if c["joint"]:
        out |= {"images_u8": torch.cat(images)} | heads
    final = {f"{m}.{n}": t.detach().clone() for m, net in (trained | {"ema": ema}).items() for n, t in net.state_dict().items()}
    kinds = ["randn" if c["joint"] else "randn_like", "randn" if lognormal else "rand", "randn_like", "rand"]
    return out, rows, step0, final, specs, [{"idx": i, "kind": k} for i, k in enumerate(kinds)]


LOSSES = dict(discriminator_start=0, discriminator_factor=1.0, discriminator_weight=0.1, quantizer_weight=1.0, perceptual_loss="lpips", perceptual_weight=1.0,
              reconstruction_loss="l1", reconstruction_weight=1.0, lecam_regularization_weight=0.0, kl_weight=1e-6, logvar_init=0.0)


def generator(full, x, recon, posterior, step):
    """Without the cast to float32, so that the float64 run is one."""
    return full._forward_generator(x, recon, posterior, step)


def discriminator(full, x, recon, step):
    return full._forward_discriminator(x, recon, step)


@torch.no_grad()
def update_ema(ema, model, decay):
    for (_, e), (_, p) in zip(ema.named_parameters(), model.named_parameters()):
        e.data.mul_(decay).add_(p.data, alpha=1 - decay)
    for (_, e), (_, b) in zip(ema.named_buffers(), model.named_buffers()):
        e.mul_(decay).add_(b, alpha=1 - decay) if e.is_floating_point() else e.copy_(b)


def keep(step0, step, name, module):
    if step == 0:
        step0 |= {f"{name}.{n}": p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def traj():
    base = dict(ch_mult=[1, 2], nres=1, hidden=48, depth=3, heads=3, enc_depth=2, pd=64, qk=False, num_classes=6, cfg_prob=0.2, bn_momentum=0.1, ndf=8, steps=5,
                lr=1e-3, lr_vae=2e-4, lr_disc=1e-4, betas=[0.9, 0.999], wd=0.0, max_grad_norm=1.0, ema_decay=0.999, proj_coeff=0.5, vae_align_proj_coeff=1.5,
                path="linear", weighting="uniform", adam_eps=1e-2)
    cases = {
        "ldm_cosine": base | dict(embed_dim=6, latent=6, patch=2, batch=3, path="cosine", weighting="lognormal", z_dims=[24, 32], qk=True, wd=0.05, proj_coeff=0.8,
                                  max_grad_norm=0.3, seed=1601, joint=False, enc_depth=3, adam_eps=1e-8),
        "repae_lognormal": base | dict(embed_dim=3, latent=16, patch=2, batch=2, weighting="lognormal", z_dims=[24, 16], qk=True, wd=0.02, bn_momentum=0.3, seed=1602,
                                       joint=True, betas=[0.8, 0.95], vae_align_proj_coeff=0.7),
        "repae_three_levels": base | dict(ch_mult=[1, 1, 2], embed_dim=5, latent=8, patch=1, batch=3, path="cosine", z_dims=[40], seed=1603, joint=True, ndf=12, nres=2),
    }
    for name, c in cases.items():
        out, rows, step0, final, specs, order = trajectory(name, c, torch.float32)
        _, rows64, step64, final64, _, _ = trajectory(name, c, torch.float64)
        keys = list(rows[0])
        table = lambda r: torch.tensor([[x[k] for k in keys] for x in r], dtype=torch.float64)
        logs, logs64 = table(rows), table(rows64)
        deviation = ((logs - logs64).abs() / logs64.abs().clamp_min(1e-12)).cummax(0).values
        out |= {"logs": logs, "logs_f64run": logs64, "logs_rtol": (20 * deviation).clamp_min(2e-5)}
        shown = [n for n in step0 if n.endswith(("conv_in.weight", "main.0.weight", "quant_conv.bias", "pos_embed", "projectors.0.4.weight", "final_layer.linear.weight"))]
        out |= {f"step0.grad.{n}": step0[n] for n in shown} | {f"final.{n}": final[n] for n in final if n in shown or "bn." in n or n.removeprefix("ema.") in [s[4:] for s in shown]}
        dev = {n: float((final[n].double() - final64[n]).abs().max()) for n in final if f"final.{n}" in out and final[n].is_floating_point()}
        save(f"traj/{name}", out, {
            "kind": "trajectory", "config": c, "rng_order": order, "log_keys": keys, "final_weight_max_abs_dev_f32_vs_f64": dev,
            "step0_grad_norms": {n: float(g.double().norm()) for n, g in step0.items()},
            "final_checksums": {n: {"l2": float(t.double().norm()), "sum": float(t.double().sum())} for n, t in final.items() if t.is_floating_point()},
            "init_specs": specs})


# ---- vision models


def vfm(only=None):
    from functools import partial

    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    made = {}

    def clip():
        from models.clip_vit import LayerNorm, Transformer, UpdatedVisionTransformer

        visual = torch.nn.Module()
        visual.class_embedding, visual.positional_embedding = torch.nn.Parameter(torch.zeros(96)), torch.nn.Parameter(torch.zeros(10, 96))
        visual.conv1, visual.ln_pre = torch.nn.Conv2d(3, 96, 14, 14, bias=False), LayerNorm(96)
        visual.transformer, visual.ln_post = Transformer(96, 2, 3), LayerNorm(96)
        net = UpdatedVisionTransformer(visual)
        return net, dict(width=96, layers=2, heads=3, patch=14, input_px=42, ln_eps=1e-5), lambda x: {"features": net(x)}

    def jepa():
        from models.jepa import VisionTransformer

        net = VisionTransformer(img_size=[48], patch_size=16, embed_dim=40, depth=2, num_heads=5, mlp_ratio=3.0, norm_layer=norm)
        return net, dict(embed_dim=40, depth=2, num_heads=5, patch=16, input_px=48, mlp_ratio=3.0, cls_token=False, ln_eps=1e-6), lambda x: {"features": net(x)}

    def mae():
        from models.mae_vit import VisionTransformer

        net = VisionTransformer(img_size=40, num_classes=0, patch_size=8, embed_dim=36, depth=2, num_heads=3, mlp_ratio=4, qkv_bias=True, norm_layer=norm)
        return net, dict(embed_dim=36, depth=2, num_heads=3, patch=8, input_px=40, ln_eps=1e-6), lambda x: {"features": net.forward_features(x)}

    def mocov3():
        from models.mocov3_vit import VisionTransformerMoCo

        net = VisionTransformerMoCo(img_size=48, num_classes=0, patch_size=16, embed_dim=64, depth=2, num_heads=4, mlp_ratio=4, qkv_bias=True, norm_layer=norm)
        built = net.pos_embed.detach().clone()

        def run(x):
            out = net.forward_features(x)
            return {"features": out[:, 1:], "cls": out[:, :1], "built_in_sincos_pos_embed": built}

        return net, dict(embed_dim=64, depth=2, num_heads=4, patch=16, input_px=48, ln_eps=1e-6), run

    def dinov1(native, side, resample):
        import timm

        stub, real = types.ModuleType("utils"), sys.modules.get("utils")
        stub.trunc_normal_ = torch.nn.init.trunc_normal_
        sys.modules["utils"] = stub
        spec = importlib.util.spec_from_file_location("dino_vit", pathlib.Path(os.environ.get("DINO", "dino")) / "vision_transformer.py")
        dino = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(dino)
        sys.modules.pop("utils") if real is None else sys.modules.__setitem__("utils", real)
        net = dino.VisionTransformer(img_size=[native * 16], patch_size=16, embed_dim=48, depth=3, num_heads=4, mlp_ratio=4, qkv_bias=True, norm_layer=norm)
        config = dict(embed_dim=48, depth=3, num_heads=4, patch=16, native_grid=native, input_px=side, ln_eps=1e-6, interpolate_offset=0.1, antialias_in_forward=False,
                      resample_to=resample)

        def run(x):
            out = {"native_pos_embed": net.pos_embed.detach().clone()}
            if resample:
                net.pos_embed = torch.nn.Parameter(timm.layers.pos_embed.resample_abs_pos_embed(net.pos_embed, [resample, resample]))
                out["resampled_pos_embed"] = net.pos_embed
            tokens = net.get_intermediate_layers(x, 1)[0]
            return out | {"features": tokens[:, 1:], "cls": tokens[:, 0]}

        return net, config, run

    def dinov2(**k):
        sys.path.insert(0, os.environ.get("DINOV2", "dinov2"))
        os.environ["XFORMERS_DISABLED"] = "1"
        from dinov2.layers import MemEffAttention, NestedTensorBlock
        from dinov2.models.vision_transformer import DinoVisionTransformer

        c = dict(embed_dim=48, depth=2, num_heads=3, registers=0, native=5, side=70, ffn="swiglufused", offset=0.1, antialias=False) | k
        net = DinoVisionTransformer(img_size=c["native"] * 14, patch_size=14, embed_dim=c["embed_dim"], depth=c["depth"], num_heads=c["num_heads"], mlp_ratio=4,
                                    init_values=1.0, ffn_layer=c["ffn"], block_chunks=0, num_register_tokens=c["registers"],
                                    interpolate_offset=c["offset"], interpolate_antialias=c["antialias"], block_fn=partial(NestedTensorBlock, attn_class=MemEffAttention))
        config = dict(embed_dim=c["embed_dim"], depth=c["depth"], num_heads=c["num_heads"], patch=14, native_grid=c["native"], input_px=c["side"],
                      num_register_tokens=c["registers"], init_values=1.0, ffn=c["ffn"], resample_to=None, ln_eps=1e-6, interpolate_offset=c["offset"],
                      antialias_in_forward=c["antialias"])

        def run(x):
            o = net.forward_features(x)
            return {"native_pos_embed": net.pos_embed, "features": o["x_norm_patchtokens"], "cls": o["x_norm_clstoken"], "prenorm": o["x_prenorm"][:, ::5]}

        return net, config, run

    cases = {
        "clip_small": ("clip", clip), "ijepa_small": ("ijepa", jepa), "mae_small": ("mae", mae), "mocov3_small": ("mocov3", mocov3),
        "dinov1_tiny": ("dinov1", lambda: dinov1(3, 64, 4)), "dinov1_interp": ("dinov1", lambda: dinov1(3, 80, None)),
        "dinov2_swiglu": ("dinov2", dinov2), "dinov2_reg_interp": ("dinov2", lambda: dinov2(registers=2, ffn="mlp", native=6, side=56, offset=0.0, antialias=True)),
    }
    for i, (name, (arch, make)) in enumerate(cases.items()):
        if only and name not in only:
            continue
        seed = 1800 + i
        net, config, run = make()
        net.eval()
        spec = fill(net, seed)
        x = normalish(seed, "in.x", (2, 3, config["input_px"], config["input_px"]), 1)
        with torch.no_grad():
            out = run(x)
        save(f"vfm/{name}", out, {"kind": "vfm", "seed": seed, "weights": "hashinit", "spec": spec, "arch": arch, "config": config, "x": "hash_normalish in.x"})


# ---- the evaluation suite


def evaluator(ref, sample, spatial, w, seed):
    from scipy import linalg

    def stats(x):
        return np.mean(x, 0), np.cov(x, rowvar=False)

    def distance(a, b):
        (m1, s1), (m2, s2) = a, b
        root = linalg.sqrtm(s1.dot(s2))
        if not np.isfinite(root).all():
            o = np.eye(len(s1)) * 1e-6
            root = linalg.sqrtm((s1 + o).dot(s2 + o))
        d = m1 - m2
        return float(d.dot(d) + np.trace(s1) + np.trace(s2) - 2 * np.trace(np.real(root)))

    def pair(a, b, dtype):
        a, b = a.astype(dtype), b.astype(dtype)
        na, nb = (a * a).sum(1)[:, None], (b * b).sum(1)[None]
        d = np.maximum(na - 2 * a.dot(b.T) + nb, 0)
        return d

    def near(dtype):
        rr, rs = (np.partition(pair(x, x, dtype), 3, axis=1)[:, 3:4] for x in (ref, sample))
        d = pair(ref, sample, dtype)
        return float((d <= rr).any(0).mean()), float((d.T <= rs).any(0).mean()), rr, rs

    def score(p, split):
        out = []
        for i in range(0, len(p), split):
            q = p[i:i + split]
            out.append(np.exp(np.mean(np.sum(q * (np.log(q) - np.log(q.mean(0, keepdims=True))), 1))))
        return float(np.mean(out))

    a, b = stats(ref), stats(sample)
    p = torch.from_numpy(sample @ w).softmax(1).numpy()
    expected = {"fid": distance(a, b), "fid_self": distance(a, a), "inception_score": score(p, 5000), "inception_score_split7": score(p, 7)}
    for name, dtype in [("f64", np.float64), ("f32", np.float32)]:
        expected[f"precision_{name}"], expected[f"recall_{name}"], rr, rs = near(dtype)
    out = {"ref": ref, "sample": sample, "mu_ref": a[0], "sigma_ref": a[1], "mu_sample": b[0], "softmax_w": w, "softmax": p, "radii_ref": rr, "radii_sample": rs}
    if spatial:
        out |= {"spatial_ref": spatial[0], "spatial_sample": spatial[1]}
        expected["sfid"] = distance(*(stats(s[..., :7].reshape(len(s), -1)) for s in spatial))
    return expected, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in out.items()}


def evals():
    for name, seed, n, m, d, spatial in [("wide", 1701, 50, 31, 200, None), ("plain", 1702, 300, 120, 16, (2, 4, 9)), ("few", 1703, 9, 8, 512, (3, 3, 8)), ("large_mean", 1704, 90, 80, 40, None)]:
        g = np.random.default_rng(seed)
        shift = 2.0 if name == "large_mean" else 0.0
        ref = (np.abs(g.normal(size=(n, d))) + shift).astype(np.float32)
        sample = (np.abs(g.normal(size=(m, d)) * 1.1 + 0.1) + shift).astype(np.float32)
        sets = [g.normal(size=(k, *spatial)).astype(np.float32) * s for k, s in [(n, 1), (m, 1.2)]] if spatial else None
        w = g.normal(size=(d, 30)).astype(np.float32) / np.float32(math.sqrt(d) * (1 + shift))
        expected, out = evaluator(ref, sample, sets, w, seed)
        save(f"eval/evaluator_{name}", out, {"kind": "evaluator", "seed": seed, "expected": expected, "n_ref": n, "n_sample": m, "dim": d})


# ---- crops


def crop(only=None):
    """`crop:tall`: pictures whose height shrinks by more than twice what the width does, where Pillow 13 begins with the columns."""
    from PIL import Image
    from utils import center_crop_arr

    tall = only == ["tall"]
    folder = OUT / ("crop_tall" if tall else "crop")
    folder.mkdir(parents=True, exist_ok=True)
    base = Image.open(GOLDEN / "crop/src_coffee_599x397_q80.jpg").convert("RGB")
    alpha = lambda w, h: Image.fromarray((np.add.outer(np.arange(h), np.arange(w)) % 256).astype(np.uint8))
    at = lambda w, h: base.resize((w, h), Image.LANCZOS)
    wide = np.add.outer(np.arange(70) * 900, np.arange(90) * 10)
    exif = Image.Exif()
    exif[0x0112] = 8
    cases = {
        "rgba.png": lambda p: at(131, 97).convert("RGBA").save(p), "la.png": lambda p: Image.merge("LA", (at(83, 120).convert("L"), alpha(83, 120))).save(p),
        "p16.png": lambda p: at(101, 77).quantize(16).save(p), "p2_bits1.png": lambda p: at(67, 65).quantize(2).save(p, bits=1),
        "p_trns.png": lambda p: at(90, 111).quantize(64).save(p, transparency=3), "one.png": lambda p: at(99, 64).convert("1").save(p),
        "l_trns.png": lambda p: at(70, 75).convert("L").save(p, transparency=120), "rgb_trns.png": lambda p: at(70, 75).save(p, transparency=(10, 20, 30)),
        "i16.png": lambda p: Image.fromarray(wide.astype(np.uint16)).save(p), "i16.tif": lambda p: Image.fromarray(wide.astype(np.uint16)).save(p),
        "gray.jpg": lambda p: at(200, 133).convert("L").save(p, quality=70), "cmyk.jpg": lambda p: at(150, 170).convert("CMYK").save(p, quality=88),
        "s444.jpg": lambda p: at(201, 199).save(p, quality=95, subsampling=0), "s422.jpg": lambda p: at(201, 199).save(p, quality=85, subsampling=1),
        "s420.jpg": lambda p: at(333, 129).save(p, quality=60, subsampling=2), "progressive.jpg": lambda p: at(257, 255).save(p, progressive=True, quality=75),
        "exif8.jpg": lambda p: at(180, 90).save(p, exif=exif), "optimised.jpg": lambda p: at(64, 64).save(p, optimize=True, quality=30),
        "rgb.bmp": lambda p: at(77, 91).save(p), "l.bmp": lambda p: at(77, 91).convert("L").save(p), "p.gif": lambda p: at(88, 66).quantize(128).save(p),
        "rgb.tif": lambda p: at(73, 69).save(p), "lzw.tif": lambda p: at(73, 69).save(p, compression="tiff_lzw"), "deflate.tif": lambda p: at(73, 69).save(p, compression="tiff_adobe_deflate"),
        "cmyk.tif": lambda p: at(73, 69).convert("CMYK").save(p), "rgba.tif": lambda p: at(73, 69).convert("RGBA").save(p), "one.tif": lambda p: at(73, 69).convert("1").save(p),
        "lossless.webp": lambda p: at(95, 101).save(p, lossless=True), "lossy.webp": lambda p: at(95, 101).save(p, quality=70),
        "alpha.webp": lambda p: at(95, 101).convert("RGBA").save(p, lossless=True), "line.png": lambda p: at(500, 3).save(p), "column.png": lambda p: at(2, 300).save(p),
        "pixel.png": lambda p: at(1, 1).save(p), "half.png": lambda p: at(65, 130).save(p), "double.png": lambda p: at(128, 129).save(p),
    }
    if tall:
        cases = {f"{w}x{h}.png": (lambda p, w=w, h=h: at(w, h).save(p)) for w, h in [(65, 130), (40, 150), (20, 97), (130, 65)]}
    images = []
    for name, write in cases.items():
        path = folder / f"src_{name}"
        write(path)
        with Image.open(path) as im:
            mode, kind = im.mode, im.format
            rgb = np.array(im.convert("RGB"))
        entry = {"src": path.name, "mode": mode, "format": kind, "size": [rgb.shape[1], rgb.shape[0]], "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(), "crops": {}}
        for side in [16, 33, 64, 96]:
            c = center_crop_arr(rgb, side)
            entry["crops"][str(side)] = {"sha256": hashlib.sha256(np.ascontiguousarray(c).tobytes()).hexdigest()}
        images.append(entry)
    (folder / "manifest.json").write_text(json.dumps({"kind": "center_crop", "images": images}))
    print("made", folder)


def misc():
    from models.sit import SiT, get_2d_sincos_pos_embed

    c, seed = 9, 1900
    g = torch.Generator().manual_seed(seed)
    scale, bias, x = torch.rand(c, generator=g) + 0.5, torch.randn(c, generator=g), torch.randn(3, c, 3, 3, generator=g)
    net = SiT(**sit_config(input_size=3, patch_size=1, in_channels=c, hidden_size=8, depth=1, num_heads=1, encoder_depth=1, z_dims=[4], projector_dim=4))
    net.init_bn(scale.clone(), bias.clone())
    net.eval()
    t = torch.rand(5, generator=g)
    s4, b4 = scale.view(1, c, 1, 1), bias.view(1, c, 1, 1)
    out = {"latents_scale": scale, "latents_bias": bias, "x": x, "bn.running_var": net.bn.running_var, "bn.running_mean": net.bn.running_mean, "bn_eval(x)": net.bn(x),
           "extract.latents_scale": net.extract_latents_stats()["latents_scale"], "normalize": (x - b4) * s4, "denormalize": x / s4 + b4, "t": t,
           "t_freq256": net.t_embedder.positional_embedding(t, 256)}
    for dim, grid in [(48, 3), (384, 8), (1024, 16)]:
        table = torch.from_numpy(get_2d_sincos_pos_embed(dim, grid)).float()
        out[f"sincos.{dim}.{grid}"] = table[::5, ::7] if dim >= 200 else table
    for path in ["linear", "cosine"]:
        values = net.interpolant(t, path)
        for k, v in zip(["alpha", "sigma", "d_alpha", "d_sigma"], values):
            out[f"interp.{path}.{k}"] = v if torch.is_tensor(v) else torch.full_like(t, v)
    rnd = torch.randn(4, 1, 1, 1, generator=g)
    sigma = rnd.exp()
    out |= {"lognormal.rnd": rnd, "lognormal.linear": sigma / (1 + sigma), "lognormal.cosine": 2 / np.pi * torch.atan(sigma)}
    f = torch.randn(777, generator=g)
    out |= {"u8_to_vae": torch.arange(256).float() / 127.5 - 1.0, "gen.float": f, "gen.uint8": torch.clamp(255.0 * ((f + 1) / 2), 0, 255).to(torch.uint8)}
    out["grid.uint8"] = ((f + 1) / 2).clamp(0, 1).mul(255).add(0.5).clamp(0, 255).to(torch.uint8)
    save("sit/misc_wide", out, {"kind": "misc", "seed": seed})


if __name__ == "__main__":
    OUT = pathlib.Path(sys.argv[1])
    kinds = {"sit": sit, "vae": vae, "sampler": sampler, "loss": loss, "traj": traj, "vfm": vfm, "eval": evals, "crop": crop, "misc": misc}
    for kind in sys.argv[2:] or kinds:
        name, _, only = kind.partition(":")
        kinds[name](only.split(",")) if only else kinds[name]()
