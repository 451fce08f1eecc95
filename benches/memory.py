"""How much memory a GPU needs to train a SiT, counted from the architecture: `python3 benches/memory.py`. Standard library only.

Nothing here is measured. What is counted, for a training step of train_ldm with bf16 autocast, AdamW, an average (EMA) and one alignment target:

- f32 weights, gradients, two moments and an average for each parameter; gradients lie in the buckets that are sent (they are views of them), which stay
  between steps; a process alone has none there while the forward pass runs;
- what autograd keeps for the backward pass, by operation, in the dtype that autocast gives it on CUDA: the residual stream, norms and modulation in
  f32, matrix products in bf16. Attention keeps queries, keys, values, output and one f32 a token and head, and no N x N matrix. No block is computed again;
- bf16 copies of the weights, which the graph holds until the backward pass.

Bytes kept by autograd were compared with those that PyTorch 2.11 saves on fake CUDA tensors for the same operations (saved_tensors_hooks): they are
equal for SiT-XL/2 at 256 and 512 and for SiT-XL/1 on 32 channels, with and without a projector.
"""
import sys
from dataclasses import dataclass

# Assumptions.
CARD = 80e9  # bytes of an "80 GB" GPU: the least that the name promises
RESERVED = 3e9  # CUDA's context, kernels, cuBLAS's workspaces, buffers of NCCL's two communicators
WASTE = 1.05  # freed memory that the allocator cannot use again, on what changes in a step
IN_FLIGHT = 32  # bytes for each token and width of one block: gradients of activations during the backward pass
SHARDS = (2, 8, 64)  # ranks over which moments and average are split in the last columns (ZeRO-1, arXiv 1910.02054): --shard-optimizer

FREQUENCIES, CLASSES, PROJECTOR, TARGET = 256, 1000, 2048, 768


@dataclass(frozen=True)
class Sit:
    """A SiT as `SitConfig` describes it: z is the width of the alignment target, 0 for none."""

    depth: int = 28
    hidden: int = 1152
    heads: int = 16
    patch: int = 2
    side: int = 32
    channels: int = 4
    z: int = TARGET
    aligned: int = 8

    @property
    def tokens(self):
        return (self.side // self.patch) ** 2

    def parameters(self):
        """(layer, name, numbers) of all that is trained, as they are registered. Layers: embed, 0 .. depth - 1, projector, final."""
        d, out = self.hidden, self.patch**2 * self.channels

        def linear(layer, name, inputs, outputs):
            return [(layer, f"{name}.weight", inputs * outputs), (layer, f"{name}.bias", outputs)]

        found = linear("embed", "x_embedder.proj", out, d)
        found += linear("embed", "t_embedder.mlp.0", FREQUENCIES, d) + linear("embed", "t_embedder.mlp.2", d, d)
        found += [("embed", "y_embedder.embedding_table.weight", (CLASSES + 1) * d)]
        for i in range(self.depth):
            for name, inputs, outputs in (("attn.qkv", d, 3 * d), ("attn.proj", d, d), ("mlp.fc1", d, 4 * d), ("mlp.fc2", 4 * d, d)):
                found += linear(i, f"blocks.{i}.{name}", inputs, outputs)
            found += linear(i, f"blocks.{i}.adaLN_modulation.1", d, 6 * d)
        if self.z:
            for i, inputs, outputs in ((0, d, PROJECTOR), (2, PROJECTOR, PROJECTOR), (4, PROJECTOR, self.z)):
                found += linear("projector", f"projectors.0.{i}", inputs, outputs)
        return found + linear("final", "final_layer.linear", d, out) + linear("final", "final_layer.adaLN_modulation.1", d, 2 * d)

    def count(self):
        return sum(n for _, _, n in self.parameters())

    def bf16_copies(self):
        """Bytes: every weight of a matrix product or convolution, which is all but the table of labels."""
        return sum(2 * n for _, name, n in self.parameters() if name.endswith(".weight") and "table" not in name)

    def kept(self):
        """Bytes that autograd keeps for each sample."""
        n, d, latent = self.tokens, self.hidden, self.channels * self.side**2
        wide = n * d
        norm = 4 * wide + 8 * n  # its input; mean and 1 / deviation of each token
        modulated = 4 * wide + 4 * d + 2 * wide  # the normed tokens and 1 + scale, f32; the result in bf16, which the next product keeps
        attention = 6 * wide + 4 * self.heads * n + 2 * wide  # queries, keys, values; log of the sum of each row; output, also proj's input
        mlp = 2 * 4 * wide + 2 * 4 * wide  # GELU's input and its output
        gated = 4 * wide + 4 * d  # a branch in f32 and its gate
        block = 2 * (norm + modulated + gated) + attention + mlp + 2 * d  # and the condition in bf16
        embed = 2 * latent + 2 * FREQUENCIES + 2 * 2 * d + 4 * d + 8  # latents, time before and after SiLU, the condition before it, the label
        final = norm + modulated + 2 * d + 4 * latent  # and the error of the velocity
        # Tokens in bf16, both SiLUs before and after, then in f32: projection, normalised target, two norms.
        projector = (2 * d + 4 * 2 * PROJECTOR + 2 * 4 * self.z + 8) * n if self.z else 0
        return self.depth * block + embed + final + projector

    def moving(self):
        """Bytes for each sample that come and go in a step."""
        return WASTE * (self.kept() + IN_FLIGHT * self.tokens * self.hidden + 4 * self.z * self.tokens)


def fixed(sit, ranks, shards=1):
    """Bytes by kind, for one of `ranks`, whose moments and average are split over `shards`."""
    p = 4 * sit.count()
    table = 4 * sit.tokens * sit.hidden
    kinds = {"weights": p + table, "moments (AdamW)": 2 * p / shards, "average (EMA)": (p + table) / shards}
    kinds["gradients, in buckets"] = p if ranks > 1 else 0
    return kinds | {"bf16 copies of weights": sit.bf16_copies()}


def largest(sit, ranks, shards=1):
    """The most samples on one GPU: at the end of the forward pass, and at the end of the backward pass, where a process alone has all gradients."""
    free = CARD - RESERVED
    if free < sum(fixed(sit, 2, shards).values()):
        return 0
    return int((free - sum(fixed(sit, ranks, shards).values())) // sit.moving())


CASES = {
    "SiT-XL/2, 256 px, latents 32x32x4": Sit(),
    "SiT-XL/1, 256 px, latents 16x16x32 (f16d32)": Sit(patch=1, side=16, channels=32),
    "SiT-XL/2, 512 px, latents 64x64x4": Sit(side=64),
    "SiT-XL/1, 512 px, latents 32x32x32 (f16d32)": Sit(patch=1, channels=32),
}


def main():
    xl = CASES["SiT-XL/2, 256 px, latents 32x32x4"]
    print(f"SiT-XL/2 with one projector to {TARGET}: {xl.count() / 1e6:.1f} M parameters. GB are 10^9 bytes.\n")
    print("| what stays, GB | one GPU | many | " + " | ".join(f"sharded over {n}" for n in SHARDS) + " |")
    print("|---|" + "---|" * (2 + len(SHARDS)))
    columns = [fixed(xl, 1), fixed(xl, 2)] + [fixed(xl, n, n) for n in SHARDS]
    for kind in columns[0]:
        print(f"| {kind} | " + " | ".join(f"{c[kind] / 1e9:.2f}" for c in columns) + " |")
    print("| together | " + " | ".join(f"{sum(c.values()) / 1e9:.2f}" for c in columns) + " |\n")
    print("| largest batch of one GPU | kept a sample | one GPU | many | " + " | ".join(f"sharded over {n}" for n in SHARDS) + " |")
    print("|---|" + "---|" * (3 + len(SHARDS)))
    for name, sit in CASES.items():
        batches = [largest(sit, 1), largest(sit, 2)] + [largest(sit, n, n) for n in SHARDS]
        print(f"| {name} | {sit.kept() / 1e9:.2f} GB | " + " | ".join(str(b) for b in batches) + " |")


if __name__ == "__main__":
    sys.exit(main())
