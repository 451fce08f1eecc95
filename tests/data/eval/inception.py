"""Computes inception.json, the figures of InceptionV3 in the FID layout: needs torch, torchvision, pytorch-fid and torch-fidelity (all without weights).

    python tests/data/eval/inception.py

The weights are hashed (the hash of tests/golden/README.md), so that nothing of 95 MB is needed: convolutions and fc U(-b, b) with
b = sqrt(6 / fan_in), batch norm weights U(0.5, 1.5), biases and running means U(-0.1, 0.1), running variances U(0.5, 1.5).
"""
import json
import os
import pathlib
import sys
import numpy as np
import torch
from pytorch_fid import inception as fid
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resize

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from hashinit import hashed

fid.load_state_dict_from_url = lambda *a, **k: torch.nn.Module.state_dict(NET[0])
NET = []
real = fid._inception_v3
def keep(*a, **k):
    net = real(*a, **k)
    NET.append(net)
    return net
fid._inception_v3 = keep
net = fid.fid_inception_v3().eval()

def bounds(name, shape):
    if name.endswith("running_var") or name.endswith("bn.weight"):
        return 0.5, 1.5
    if name.endswith("running_mean") or name.endswith("bias"):
        return -0.1, 0.1
    b = (6.0 / float(np.prod(shape[1:]))) ** 0.5
    return -b, b

spec = {}
state = {}
for name, t in net.state_dict().items():
    if name.endswith("num_batches_tracked"):
        state[name] = t
        continue
    lo, hi = bounds(name, tuple(t.shape))
    spec[name] = {"shape": list(t.shape), "lo": lo, "hi": hi}
    state[name] = hashed(5, name, tuple(t.shape), lo, hi)
net.load_state_dict(state)

images = (hashed(5, "images", (2, 3, 64, 48), 0, 256)).floor().clamp(0, 255)
x = (resize(images, size=(299, 299), align_corners=False) - 128) / 128
sixth = {}
net.Mixed_6d.branch1x1.register_forward_hook(lambda m, i, o: sixth.__setitem__("o", o))
pooled = {}
net.avgpool.register_forward_hook(lambda m, i, o: pooled.__setitem__("o", o.flatten(1)))
with torch.no_grad():
    with_bias = net(x)
pool = pooled["o"]
logits = pool @ net.fc.weight.T
spatial = sixth["o"][:, :7].permute(0, 2, 3, 1).flatten(1)
pick = lambda t, step: [float(v) for v in t.detach().flatten()[::step]]
out = {
    "kind": "inception", "seed": 5,
    "parameters": sum(p.numel() for p in net.parameters()),
    "spec": spec,
    "input": pick(x, 1009),
    "pool": pick(pool, 61), "spatial": pick(spatial, 61), "logits": pick(logits, 31), "with_bias": pick(with_bias, 31),
    "scale": {"pool": float(pool.abs().max()), "spatial": float(spatial.abs().max()), "logits": float(logits.abs().max())},
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inception.json")
json.dump(out, open(path, "w"))
print(out["parameters"], out["scale"], len(spec))
