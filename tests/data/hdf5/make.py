"""Writes the containers of tests/it/data/hdf5.rs: python make.py [FOLDER] (h5py 3.16, numpy, Pillow; no other input).

images.h5     as REPA-E's preprocessing: PNG bytes and JSON as scalar strings of a fixed length, uncompressed PNG
bytes.h5      the same pictures as uint8, one in chunks, one in deflated chunks, no dataset.json, a soft and an external link, no list of keys
latents.h5    f32 [2C, h, w], mean and standard deviation
"""
import io, json, sys, pathlib
import h5py, numpy as np
from PIL import Image

out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
N, R = 6, 16
LABELS = [2, 0, 1, 2, 0, 1]


def picture(i):
    y, x = np.mgrid[0:R, 0:R]
    return np.stack([(x * 16 + i) % 256, (y * 16 + 3 * i) % 256, (x * y + 7 * i) % 256], -1).astype(np.uint8)


def png(i):
    buffer = io.BytesIO()
    Image.fromarray(picture(i)).save(buffer, format="png", compress_level=0, optimize=False)
    return buffer.getvalue()


def latent(i):
    v = np.arange(2 * 2 * 3 * 3, dtype=np.float32).reshape(4, 3, 3) / 8 + i
    v[:2] -= 3
    return v


def write_list(name, keys):
    (out / f"{name}_h5.json").write_text(json.dumps(keys, indent=2))


names = [f"00000/img{i:08}.png" for i in range(N)]
with h5py.File(out / "images.h5", "w") as f:
    for i, name in enumerate(names):
        # A PNG file ends with "IEND" and a checksum; one ends with NULs here, which readers of strings cut.
        data = png(i) + (b"\0\0\0" if i == 1 else b"")
        f.create_dataset(name, data=np.array(data, dtype=f"S{len(data)}"))
    labels = json.dumps({"labels": [list(p) for p in zip(names, LABELS)]}).encode()
    f.create_dataset("dataset.json", data=np.array(labels, dtype=f"S{len(labels)}"))
write_list("images", ["00000/"] + names + ["dataset.json"])

with h5py.File(out / "bytes.h5", "w") as f:
    for i, name in enumerate(names[:3]):
        data = np.frombuffer(png(i), np.uint8)
        f.create_dataset(name, data=data, **[{}, dict(chunks=(256,), compression="gzip"), dict(chunks=(256,))][i])
    f["soft.png"] = h5py.SoftLink("/" + names[0])
    f["outside.png"] = h5py.ExternalLink("images.h5", "/" + names[0])
    f.create_dataset("numbers", data=np.arange(6, dtype=np.uint16).reshape(2, 3))
    f.create_dataset("claims", shape=(1 << 40,), dtype=np.uint8, chunks=(1 << 16,))

names = [f"00000/img-mean-std-{i:08}.npy" for i in range(N)]
with h5py.File(out / "latents.h5", "w") as f:
    for i, name in enumerate(names):
        f.create_dataset(name, data=latent(i))
write_list("latents", ["00000/"] + names)
