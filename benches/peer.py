"""The cases of models.rs in eager PyTorch, written after the same papers: prints the seconds of one warm run."""
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(torch.get_num_threads())
torch.manual_seed(0)


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class Block(nn.Module):
    """DiT block with adaLN-Zero (timm's Attention and Mlp written out)."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.norm2 = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.ada = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def attn(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(b, n, d))

    def forward(self, x, c):
        a, b, g, d, e, h = self.ada(c).chunk(6, dim=-1)
        x = x + g.unsqueeze(1) * self.attn(modulate(self.norm1(x), a, b))
        y = self.fc2(F.gelu(self.fc1(modulate(self.norm2(x), d, e)), approximate="tanh"))
        return x + h.unsqueeze(1) * y


class SiT(nn.Module):
    def __init__(self, d=768, depth=12, heads=12, channels=32, tokens=256):
        super().__init__()
        self.embed = nn.Conv2d(channels, d, 1)
        self.pos = nn.Parameter(torch.randn(1, tokens, d) * 0.02, requires_grad=False)
        self.time = nn.Sequential(nn.Linear(256, d), nn.SiLU(), nn.Linear(d, d))
        self.label = nn.Embedding(1001, d)
        self.blocks = nn.ModuleList(Block(d, heads) for _ in range(depth))
        self.projector = nn.Sequential(nn.Linear(d, 2048), nn.SiLU(), nn.Linear(2048, 2048), nn.SiLU(), nn.Linear(2048, 768))
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.ada = nn.Sequential(nn.SiLU(), nn.Linear(d, 2 * d))
        self.out = nn.Linear(d, channels)

    def forward(self, x, t, y):
        b, ch, h, w = x.shape
        freqs = torch.exp(-torch.arange(128) * (9.210340371976184 / 128))
        args = t[:, None] * freqs
        c = self.time(torch.cat([args.cos(), args.sin()], 1)) + self.label(y)
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        for i, block in enumerate(self.blocks):
            x = block(x, c)
            if i == 3:
                projected = self.projector(x)
        shift, scale = self.ada(c).chunk(2, dim=1)
        x = self.out(modulate(self.norm(x), shift, scale))
        return x.transpose(1, 2).reshape(b, ch, h, w), projected


class Res(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.n1, self.c1 = nn.GroupNorm(32, i, eps=1e-6), nn.Conv2d(i, o, 3, padding=1)
        self.n2, self.c2 = nn.GroupNorm(32, o, eps=1e-6), nn.Conv2d(o, o, 3, padding=1)
        self.short = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x):
        h = self.n1(x)
        h = self.c1(h * torch.sigmoid(h))
        h = self.n2(h)
        return self.short(x) + self.c2(h * torch.sigmoid(h))


class Attn(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(32, c, eps=1e-6)
        self.q, self.k, self.v, self.o = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.norm(x)
        q, k, v = (f(y).reshape(b, c, h * w) for f in (self.q, self.k, self.v))
        a = torch.softmax(torch.bmm(q.transpose(1, 2), k) * c**-0.5, dim=2)
        return x + self.o(torch.bmm(v, a.transpose(1, 2)).reshape(b, c, h, w))


class Down(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


def encoder(ch=128, mult=(1, 1, 2, 2, 4), z=32):
    layers, width = [nn.Conv2d(3, ch, 3, padding=1)], ch
    for i, m in enumerate(mult):
        for _ in range(2):
            layers.append(Res(width, ch * m))
            width = ch * m
            if 256 >> i == 16:
                layers.append(Attn(width))
        if i + 1 < len(mult):
            layers.append(Down(width))
    layers += [Res(width, width), Attn(width), Res(width, width), nn.GroupNorm(32, width, eps=1e-6), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, 2 * z, 3, padding=1), nn.Conv2d(2 * z, 2 * z, 1))


def main(case, device="cpu", batch=8, steps=1):
    batch, steps = int(batch), int(steps)
    cast = torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled="bf16" in case)
    torch.set_default_device(device)
    if case.startswith("sit"):
        net = SiT()
        if "WORLD_SIZE" in os.environ:
            torch.distributed.init_process_group("gloo")
            net = nn.parallel.DistributedDataParallel(net, find_unused_parameters=True, gradient_as_bucket_view=True, bucket_cap_mb=8)
        params = [p for p in net.parameters() if p.requires_grad]
        opt = torch.optim.AdamW(params, lr=1e-4, weight_decay=0.0)
        x, t, y, target = torch.randn(batch, 32, 16, 16), torch.rand(batch), torch.randint(0, 1000, (batch,)), torch.randn(batch, 32, 16, 16)

        def run():
            opt.zero_grad()
            with cast:
                v, p = net(x, t, y)
            loss = (v.float() - target).square().mean() + p.float().square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            opt.step()
            return loss.detach()
    else:
        net = encoder().eval()
        x = torch.randn(batch, 3, 256, 256)

        def run():
            with torch.no_grad(), cast:
                return net(x)

    def seconds():
        start = time.perf_counter()
        for _ in range(steps):
            out = run()
        out.float().mean().item()
        return (time.perf_counter() - start) / steps

    seconds()
    print(seconds())


main(*sys.argv[1:])
