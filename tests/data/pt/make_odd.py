"""Writes the fixtures of odd formats beside it, and odd.json with what they hold. Made with torch 2.11.0, numpy 2.4.6, safetensors 0.8.0:

    python tests/data/pt/make_odd.py
"""
import json, os, pathlib, sys, zipfile
import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
torch.manual_seed(1)


def sharded(rank):
    """Two processes write one checkpoint: a tensor split over both, one that the first has alone, and an optimizer's."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29561", RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    put = lambda t, *how: distribute_tensor(t, mesh, how)
    rows = torch.arange(15, dtype=torch.float32).reshape(5, 3)
    model = {"rows": put(rows, Shard(0)), "columns": put(rows * 2, Shard(1)), "whole": put(rows[0], Replicate()), "steps": 7}
    ema = {"rows": put(rows + 100, Shard(0)), "columns": put(rows * 2 + 100, Shard(1)), "whole": put(rows[0] + 100, Replicate())}
    dcp.save({"model": model, "ema": ema, "optimizer": {"state": {"0": {"exp_avg": put(rows, Shard(0))}}}}, checkpoint_id=here / "distributed")
    dist.destroy_process_group()


def main():
    listed = {}

    def note(name, tensors):
        listed[name] = {k: {"shape": list(t.shape), "values": t.to(torch.float64).flatten().tolist()} for k, t in tensors.items()}

    state = {"fc.weight": torch.randn(2, 3), "fc.bias": torch.randn(2), "ünï\\code\n": torch.ones(1)}
    for protocol in (0, 1):
        for stem, how in (("", {}), ("_legacy", {"_use_new_zipfile_serialization": False})):
            name = f"protocol{protocol}{stem}.pt"
            torch.save({"state_dict": state, "note": "it's \"x\"\n", "lr": 0.1, "big": -(2**70), "on": True, "none": None}, here / name, pickle_protocol=protocol, **how)
            note(name, state)

    torch.save(state, here / "deflated.pt")
    plain = zipfile.ZipFile(here / "deflated.pt")
    entries = [(n, plain.read(n)) for n in plain.namelist()]
    with zipfile.ZipFile(here / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries:
            out.writestr(name, data)
    note("deflated.pt", state)

    x = torch.tensor([[0.0, 1.0, -1.5], [0.0625, 3.0, -192.0]])
    kinds = {k: x.to(getattr(torch, k)) for k in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")}
    kinds["float8_e8m0fnu"] = torch.tensor([0.5, 1.0, 4.0]).to(torch.float8_e8m0fnu)
    kinds["transposed"] = kinds["float8_e4m3fn"].t()
    for bits in (16, 32, 64):
        kinds[f"uint{bits}"] = torch.tensor([1, 2 ** (bits - 1) + 1 if bits < 64 else 2**40], dtype=getattr(torch, f"uint{bits}"))
    torch.save(kinds, here / "converted.pt")
    note("converted.pt", kinds)
    save_file({k: v.contiguous() for k, v in kinds.items()}, here / "converted.safetensors")
    note("converted.safetensors", kinds)

    x = np.arange(30, dtype="f4").reshape(5, 3, 2)
    arrays = {"x": x, "fortran": np.asfortranarray(x), "big": x.astype(">f4"), "u16": np.array([65535, 1], "u2")}
    np.savez(here / "fortran.npz", **arrays)
    np.savez_compressed(here / "fortran_deflated.npz", **arrays)

    rows = torch.arange(15, dtype=torch.float32).reshape(5, 3)
    note("distributed", {"rows": rows, "columns": rows * 2, "whole": rows[0]})
    (here / "odd.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    mp.spawn(sharded, nprocs=2)
    main()
