"""Files that stand for more than they are: `python make_hostile.py` writes them here with the standard library alone.

legacy_count.pt    a storage of 2^64 - 1 bytes
keys.pt            a dict whose keys are tuples, None, True and 7; clashing_keys.pt has 1 and "1" as well
shared_bytes.npz   150 arrays of 20 MB over the same 27 KB
overlapping/       a distributed checkpoint of which two pieces begin at the same element
claimed/           one of 128 GB, whose only file is not there
"""
import os
import pickle
import struct
import sys
import types
import zipfile
import zlib


def legacy(count):
    out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."
    storage = b"(X\x07\0\0\0storagectorch\nByteStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x04NtQ"
    out += b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0K\x04\x85K\x01\x85\x89}tRs."
    return out + b"\x80\x02]X\x01\0\0\0aa." + struct.pack("<Q", count) + b"\1\2\3\4"


def checkpoint(path, value):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
        z.writestr("archive/version", "3\n")


def shared_bytes(path, n, names):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % n
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode() + b"\0" * n
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, crc = c.compress(data) + c.flush(), zlib.crc32(data)
    out = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, crc, len(packed), len(data), 9, 0) + b"a0000.npy" + packed
    directory = b""
    for i in range(names):
        entry = (0x02014B50, 20, 20, 0, 8, 0, 0, crc, len(packed), len(data), 9, 0, 0, 0, 0, 0, 0)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", *entry) + b"a%04d.npy" % i
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, names, names, len(directory), len(out), 0)
    with open(path, "wb") as f:
        f.write(out + directory + end)


def module(name):
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name]


def kind(home, name):
    made = type(name, (), {"__module__": home.__name__})
    setattr(home, name, made)
    return made


def having(cls, **state):
    made = cls()
    made.__dict__.update(state)
    return made


class DType:
    __module__ = "torch"

    def __reduce__(self):
        return "float32"


def distributed(folder, size, chunks):
    torch = module("torch")
    module("torch.distributed")
    module("torch.distributed.checkpoint")
    metadata, filesystem = module("torch.distributed.checkpoint.metadata"), module("torch.distributed.checkpoint.filesystem")
    names = ["Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "MetadataIndex"]
    whole, tensor, properties, chunk, index = (kind(metadata, n) for n in names)
    stored = kind(filesystem, "_StorageInfo")
    torch.float32 = DType()
    pieces = [having(chunk, offsets=list(o), sizes=list(s)) for o, s in chunks]
    about = having(
        whole,
        state_dict_metadata={"w": having(tensor, properties=having(properties, dtype=torch.float32), size=list(size), chunks=pieces)},
        planner_data={"w": ("w",)},
        storage_data={
            having(index, fqn="w", offset=list(o), index=i): having(stored, relative_path="__0_0.distcp", offset=0, length=10)
            for i, (o, s) in enumerate(chunks)
        },
    )
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".metadata"), "wb") as f:
        f.write(pickle.dumps(about, protocol=2))


if __name__ == "__main__":
    with open("legacy_count.pt", "wb") as f:
        f.write(legacy(2**64 - 1))
    keys = {(0, 1): 1, (0, 2): 2, (0, (3, "x")): 3, 7: "int", None: 5, True: 6}
    checkpoint("keys.pt", keys)
    checkpoint("clashing_keys.pt", {1: "int", "1": "text"})
    shared_bytes("shared_bytes.npz", 20_000_000, 150)
    distributed("overlapping", [4], [([0], [2]), ([0], [2])])
    distributed("claimed", [2 << 34], [([0], [1 << 34]), ([1 << 34], [1 << 34])])
