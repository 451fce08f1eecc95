"""Reads exported containers as REPA-E's loader does: python read.py EXPORTED FIXTURES. It compares them with make.py's."""
import io, json, pathlib, sys
import h5py, numpy as np
from PIL import Image

exported, fixtures = map(pathlib.Path, sys.argv[1:])


def pictures(folder):
    keys = sorted(k for k in json.loads((folder / "images_h5.json").read_text()) if k.endswith(".png"))
    with h5py.File(folder / "images.h5") as f:
        labels = dict(json.loads(np.array(f["dataset.json"]).tobytes().decode("utf-8"))["labels"])
        return [(k, labels[k], np.array(Image.open(io.BytesIO(np.array(f[k]))))) for k in keys]


def latents(path):
    keys = sorted(k for k in json.loads(path.with_name(path.stem + "_h5.json").read_text()) if k.endswith(".npy"))
    with h5py.File(path) as f:
        return [(k, np.array(f[k])) for k in keys]


a, b = pictures(exported), pictures(fixtures)
assert len(a) == len(b) == 6
for (k, l, x), (m, n, y) in zip(a, b):
    assert (k, l) == (m, n) and x.dtype == np.uint8 and (x == y).all(), k
a, b = latents(exported / "vae.h5"), latents(fixtures / "latents.h5")
assert len(a) == len(b) == 6
for (k, x), (m, y) in zip(a, b):
    assert k == m and x.dtype == np.float32 and (x == y).all(), k
