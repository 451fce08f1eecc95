"""Training of SiT-XL/2 on 1 to 64 GPUs, computed: `python3 benches/scale.py`. Standard library only; nothing here is measured but the two rates that are
named so. `--resolution 512`, `--wire bf16`, `--bucket-mb 8` and `--rate 400` (TFLOP/s) compute other cases; the comparison with measured steps is always made.

The model of a step on each rank: forward pass, backward pass, clipping, AdamW, average. Gradients of a layer are ready when the backward pass has done it;
they lie in buckets as c10d's Reducer makes them, and a bucket is reduced by a ring when its last gradient is ready and the bucket before it is done.
"""
import argparse
import sys
from dataclasses import dataclass

sys.dont_write_bytecode = True  # nothing is left beside this file

from memory import PROJECTOR, Sit, largest

MIB = 1 << 20

# Computing. The rate is that of docs/benchmarks.md: a step of SiT-B/1 with batch 256 in bf16 takes 0.174 s on an H200, whose tensor cores are an H100's.
MEASURED = (Sit(depth=12, hidden=768, heads=12, patch=1, side=16, channels=32, aligned=4), 256, 0.174)
BACKWARD = 2.0  # products of the backward pass over those of the forward pass; attention's kernel computes its matrix again: 2.5
BACKWARD_ATTENTION = 2.5
LAUNCHES = 1041  # kernels of SiT-XL/2's forward pass, casts included, counted by PyTorch 2.11's dispatcher; the backward pass is taken to have twice as many
LAUNCH = 5e-6  # seconds that a processor core needs for each: a step is never shorter
HBM = 2.5e12  # bytes a second of memory, three quarters of an H100's
UPDATE = 13 * 4  # bytes for each parameter: norm 1, scaling 2, AdamW 7, average 3 numbers in f32
# A transfer does not slow down what is computed beside it, and every rank is as fast as the others.

# Links. Bytes a second that a ring gets; seconds that each of its hops adds.
NODE = 8  # GPUs
NVLINK, NVLINK_HOP = 360e9, 2e-6
FABRICS = {
    "InfiniBand, 8 x 400 Gbit/s a node": (320e9, 5e-6),
    "InfiniBand, 1 x 400 Gbit/s": (44e9, 5e-6),
    "Ethernet, 1 x 100 Gbit/s": (11e9, 20e-6),
}
FIRST = MIB  # bytes of the Reducer's first bucket
WORLDS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Link:
    rate: float
    latency: float

    @staticmethod
    def of(world, fabric):
        if world <= NODE:
            return Link(NVLINK, 2 * (world - 1) * NVLINK_HOP)
        (rate, hop), nodes = FABRICS[fabric], -(-world // NODE)
        return Link(min(rate, NVLINK), 2 * (world - 1) / world * ((world - nodes) * NVLINK_HOP + nodes * hop))

    def reduce(self, world, size):
        """Seconds of a ring all-reduce."""
        return 2 * (world - 1) / world * size / self.rate + self.latency if world > 1 else 0.0


def work(sit):
    """Operations of a sample's forward pass, as (layer, products, attention), in order."""
    n, d = sit.tokens, sit.hidden
    embed = 2 * n * d * sit.patch**2 * sit.channels
    layers = [(i, 24 * n * d * d + 12 * d * d, 4 * n * n * d) for i in range(sit.depth)]
    if sit.z:
        layers.insert(sit.aligned, ("projector", 2 * n * (d * PROJECTOR + PROJECTOR**2 + PROJECTOR * sit.z), 0))
    return [("embed", embed, 0), *layers, ("final", embed + 4 * d * d, 0)]


def passes(sit):
    """Operations of a sample's forward pass, and those of the backward pass by layer, in its order."""
    back = [(layer, BACKWARD * a + BACKWARD_ATTENTION * b) for layer, a, b in reversed(work(sit))]
    return sum(a + b for _, a, b in work(sit)), back


def update(sit):
    return UPDATE * sit.count() / HBM


def measured_rate():
    sit, batch, seconds = MEASURED
    forward, back = passes(sit)
    return batch * (forward + sum(n for _, n in back)) / (seconds - 40 * sit.count() / HBM)  # that step has no average


def buckets(sit, most, order):
    """Bytes and layers of each bucket, in the order in which they are sent, by c10d's compute_bucket_assignment_by_size: of parameters in the order in
    which their gradients come, as Lathe sends them; or in that in which they were registered, where a projector comes after all blocks, turned round."""
    place = {layer: i for i, (layer, _, _) in enumerate(work(sit))}
    parameters = sit.parameters() if order == "registered" else sorted(sit.parameters(), key=lambda p: place[p[0]])[::-1]
    found, size, layers, limit = [], 0, [], FIRST
    for layer, _, n in parameters:
        size, layers = size + 4 * n, layers + [layer]
        if size >= limit:
            found.append((size, layers))
            size, layers, limit = 0, [], most
    found += [(size, layers)] if layers else []
    return found[::-1] if order == "registered" else found


def exposed(sit, world, link, backward, most, order, wire=1.0):
    """Seconds from the end of the backward pass, which takes `backward`, to that of the last transfer."""
    if world == 1:
        return 0.0
    _, back = passes(sit)
    total, now, ready = sum(n for _, n in back), 0.0, {}
    for layer, n in back:
        now += backward * n / total
        ready[layer] = now
    free = 0.0
    for size, layers in buckets(sit, most, order):
        free = max(free, max(ready[layer] for layer in layers)) + link.reduce(world, size * wire)
    return max(0.0, free + link.latency - backward)  # and the word that says which parameters were reached


def step(sit, world, batch, fabric, o):
    """Seconds of a step in which each rank has `batch` samples, accumulated over as many passes as fit."""
    forward, back = passes(sit)
    times = -(-batch // max(1, largest(sit, world)))
    least = times * LAUNCHES * LAUNCH
    forward, backward = max(batch * forward / o.rate, least), max(batch * sum(n for _, n in back) / o.rate, 2 * least)
    wire = 0.5 if o.wire == "bf16" else 1.0
    return forward + backward + exposed(sit, world, Link.of(world, fabric), backward / times, o.bucket_mb * MIB, o.order, wire) + update(sit)


def table(sit, o, title, batch_of, whole):
    print(f"| {title} | a GPU | " + " | ".join(FABRICS) + " |\n|---|---|" + "---|" * len(FABRICS))
    for world in WORLDS:
        batch, cells = batch_of(world), []
        for fabric in FABRICS if world > NODE else ["NVLink"]:
            alone = step(sit, 1, whole or batch, fabric, o)
            took = step(sit, world, batch, fabric, o)
            cells.append(f"{took * 1e3:.0f} ms, {alone / took / (world if whole else 1):.0%}")
        print(f"| {world} | {batch} | " + " | ".join(cells + ["same"] * (len(FABRICS) - len(cells))) + " |")
    print()


def compare():
    """The same model and the measured steps of two ranks on two cores, by Gloo: docs/benchmarks.md."""
    sit, mbit = MEASURED[0], 1e9 / 8 * 1448 / 1514  # what TCP leaves of 1 Gbit/s
    link, size = Link(mbit, 0.0), 4 * sit.count()
    free, after = 7.75, 7.96  # seconds of a step where the link costs nothing, measured
    forward, back = passes(sit)
    backward = free * (whole := sum(n for _, n in back)) / (whole + forward)
    print("| two ranks on Gloo, 1 Gbit/s | model | measured | model / measured |\n|---|---|---|---|")
    late = after + link.reduce(2, size)
    registered, ready = (free + exposed(sit, 2, link, backward, 8 * MIB, order) for order in ("registered", "ready"))
    during = "averaged during it, buckets in the order of registration"
    for name, model, seen in (("averaged after the backward pass", late, 12.68), (during, registered, 10.65)):
        print(f"| {name} | {model:.2f} s | {seen} s | {model / seen:.2f} |")
    print(f"| the same, buckets in the order of the gradients | {ready:.2f} s | - | - |")
    print(f"\nThe link is busy for {link.reduce(2, size):.2f} s with {size / 1e6:.0f} MB; the backward pass takes {backward:.2f} s.")


def main():
    flags = argparse.ArgumentParser(description="SiT-XL/2 on 1 to 64 GPUs, computed.")
    flags.add_argument("--resolution", type=int, choices=(256, 512), default=256)
    flags.add_argument("--wire", choices=("f32", "bf16"), default="f32")
    flags.add_argument("--bucket-mb", type=int, default=25)
    flags.add_argument("--order", choices=("ready", "registered"), default="ready", help="of parameters in buckets")
    flags.add_argument("--rate", type=float, default=measured_rate() / 1e12, help="TFLOP/s of a GPU")
    o = flags.parse_args()
    o.rate *= 1e12
    sit = Sit(side=o.resolution // 8)
    forward, back = passes(sit)
    print(f"SiT-XL/2, {o.resolution} px, gradients as {o.wire} in {len(buckets(sit, o.bucket_mb * MIB, o.order))} buckets of {o.bucket_mb} MB or one weight;")
    print(f"{(forward + sum(n for _, n in back)) / 1e12:.3f} TFLOP a sample at {o.rate / 1e12:.0f} TFLOP/s a GPU.\n")
    whole = 256
    table(sit, o, f"GPUs, batch {whole} of all", lambda world: whole // world, whole)
    one = 32 if o.resolution == 256 else 8
    table(sit, o, f"GPUs, batch {one} a GPU", lambda _: one, None)
    compare()


if __name__ == "__main__":
    main()
