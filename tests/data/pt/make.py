"""Writes the fixtures of src/core/torch/files/tests.rs and expected.json beside them. Made with torch 2.11.0, numpy 2.4.6:

    python tests/data/pt/make.py
"""
import argparse, collections, json, pathlib, pickle
from unittest import mock
import numpy as np
import torch

here = pathlib.Path(__file__).parent
torch.manual_seed(0)
expected = {}


def listed(t):
    t = t.detach()
    t = t.to(torch.complex128) if t.is_complex() else t.to(torch.float64)
    flat = torch.view_as_real(t).flatten() if t.is_complex() else t.flatten()
    return flat.tolist()


def save(name, obj, tensors, **how):
    torch.save(obj, here / name, **how)
    expected[name] = {k: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "values": listed(t)} for k, t in tensors.items()}


def both(stem, obj, tensors):
    save(stem + ".pt", obj, tensors)
    save(stem + "_legacy.pth", obj, tensors, _use_new_zipfile_serialization=False)


net = torch.nn.Sequential(collections.OrderedDict(fc=torch.nn.Linear(3, 2), bn=torch.nn.BatchNorm1d(2)))
both("state", net.state_dict(), net.state_dict())
for protocol in (3, 4, 5):
    save(f"state_protocol{protocol}.pt", net.state_dict(), net.state_dict(), pickle_protocol=protocol)
save("state_protocol4_legacy.pth", net.state_dict(), net.state_dict(), pickle_protocol=4, _use_new_zipfile_serialization=False)

# Shared storages, views with offsets and strides, an expanded tensor, an empty one, a scalar, a parameter.
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
views = {
    "base": base, "transposed": base.t(), "row": base[2], "step": base[:, ::2], "alias": base,
    "expanded": torch.tensor([1.5]).expand(2, 3), "empty": torch.empty(0, 5), "scalar": torch.tensor(-2.5),
    "parameter": torch.nn.Parameter(torch.ones(2)),
}
both("views", views, views)

x = torch.tensor([0.0, 1.0, -1.5, 100.0])
kinds = {
    "f64": x.double(), "f32": x, "f16": x.half(), "bf16": x.bfloat16(), "i64": x.long(), "i32": x.int(), "i16": x.short(),
    "i8": x.char(), "u8": x.abs().byte(), "bool": x > 0, "c64": torch.complex(x, -x),
}
both("kinds", kinds, kinds)
save("unsupported.pt", {"c32": torch.zeros(2, dtype=torch.complex32), "f32": x}, {"f32": x})

# What REPA's train.py writes: model, ema, opt, args (an argparse Namespace), steps.
opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
net(torch.randn(4, 3)).square().mean().backward()
opt.step()
ema = {k: v + 1 if v.is_floating_point() else v for k, v in net.state_dict().items()}
checkpoint = {
    "model": net.state_dict(), "ema": ema, "opt": opt.state_dict(), "steps": 1234, "best": np.float64(0.5), "big": 1 << 80,
    "args": argparse.Namespace(model="SiT-XL/2", lr=1e-4, path=pathlib.PurePosixPath("/data"), betas=(0.9, 0.999), flag=None),
}
both("checkpoint", checkpoint, ema)
# Old files carry the source code of module classes; a word will do here.
with mock.patch("inspect.getsourcelines", lambda cls: (["class Net: pass\n"], 0)), mock.patch("inspect.getsourcefile", lambda cls: "net.py"):
    both("module", net, net.state_dict())

# A list that holds itself, and a tuple of tuples that is exponential when walked.
loop = [1]
loop.append(loop)
bomb = (0,)
for _ in range(64):
    bomb = (bomb, bomb)
save("cyclic.pt", {"loop": loop, "bomb": bomb, "w": x}, {"w": x})

torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), here / "script.pt")
(here / "plain.pkl").write_bytes(pickle.dumps({"a": 1}, protocol=2))


class Evil:
    def __reduce__(self):
        return (eval, ("open('/tmp/lathe-was-here', 'w')",))


save("evil.pt", {"w": x, "evil": Evil()}, {"w": x})

np.savez(here / "arrays.npz", a=np.arange(6, dtype=np.float32).reshape(2, 3), arr_0=np.full((1, 2, 2, 3), 7, np.uint8), s=np.float64(2.5))
np.savez_compressed(here / "compressed.npz", zeros=np.zeros((100, 100), np.int64))
np.save(here / "fortran.npy", np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)))
np.save(here / "big_endian.npy", np.arange(3, dtype=">f8"))
np.save(here / "text.npy", np.array(["a"]))
(here / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
