"""Writes joint.pt and joint_legacy.pth: a checkpoint as REPA-E's joint training saves it, of the small networks whose names and
shapes are in joint.json. Made with torch 2.11.0:

    python tests/data/pt/make_joint.py

Tensor number i of a network holds `base + i + 0.001 * arange`, base 0 for model, 1000 for ema, 2000 for vae, 3000 for discriminator.
"""
import argparse, json, math, pathlib
import torch

here = pathlib.Path(__file__).parent
shapes = json.loads((here / "joint.json").read_text())


def state(name, base):
    out = {}
    for i, (key, shape) in enumerate(shapes[name].items()):
        n = math.prod(shape)
        if key.endswith("num_batches_tracked"):
            out[key] = torch.tensor(base + i)
        else:
            out[key] = (base + i + 0.001 * torch.arange(n, dtype=torch.float64)).float().reshape(shape)
    return out


def stepped(state):
    """The state of an optimizer that made one step on these weights: integer keys, a step counter and two moments each."""
    params = [torch.nn.Parameter(t.clone()) for t in state.values() if t.is_floating_point()]
    opt = torch.optim.AdamW(params, lr=1e-4)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    return opt.state_dict()


model, ema, vae, disc = state("model", 0), state("model", 1000), state("vae", 2000), state("discriminator", 3000)
checkpoint = {
    "model": model, "ema": ema, "vae": vae, "discriminator": disc,
    "opt": stepped(model), "opt_disc": stepped(disc), "steps": 400000,
    "args": argparse.Namespace(model="SiT-XL/1", vae="f16d32", enc_type="dinov2-vit-b", betas=(0.9, 0.999), resume=None),
}
torch.save(checkpoint, here / "joint.pt")
torch.save(checkpoint, here / "joint_legacy.pth", _use_new_zipfile_serialization=False)
