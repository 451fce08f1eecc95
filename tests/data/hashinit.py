"""The numbers of `tests/golden`'s `hashinit`: uniform in [lo, hi), by seed and name alone."""
import numpy as np
import torch

MASK = (1 << 64) - 1


def hashed(seed, name, shape, lo, hi):
    base = 0xCBF29CE484222325
    for b in f"{seed}:{name}".encode():
        base = ((base ^ b) * 0x100000001B3) & MASK
    n = int(np.prod(shape)) if len(shape) else 1
    with np.errstate(over="ignore"):
        z = np.uint64(base) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2**24
    return torch.from_numpy((lo + (hi - lo) * u).astype(np.float32).reshape(shape))
