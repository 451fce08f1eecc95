"""Numbers of PyTorch for std/nets/dinodisc and std/diffaug: `python make.py` writes dinodisc.safetensors and diffaug.safetensors beside this file.

A plain implementation from the descriptions (RAE, arXiv 2510.11690; StyleGAN-T, arXiv 2301.09515; DINO, arXiv 2104.14294; differentiable
augmentation, arXiv 2006.10738), in torch 2.11 on the CPU. Spectral norms are those of torch.nn.utils.spectral_norm.
"""
import math
import pathlib
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
WIDTH, HEADS, DEPTH, PATCH, SIDE, KERNEL, KEYS = 8, 2, 3, 8, 32, 3, [0, 2]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(c // HEADS)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn = Attention()
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, 4 * WIDTH), "fc2": nn.Linear(4 * WIDTH, WIDTH)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)), approximate="tanh"))


class Dino(nn.Module):
    def __init__(self):
        super().__init__()
        n = SIDE // PATCH
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + n * n, WIDTH))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, WIDTH, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, pictures):
        x = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        x = ((x + 1) / 2 - mean) / std
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        kept = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in KEYS:
                kept.append(x[:, 1:].transpose(1, 2))
        return [x[:, 1:].transpose(1, 2)] + kept


class Local(nn.Module):
    """Each picture's channels over its tokens: a group norm with a group for each channel."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(WIDTH))
        self.bias = nn.Parameter(0.1 * torch.randn(WIDTH))

    def forward(self, x):
        return F.group_norm(x, WIDTH, self.weight, self.bias, eps=1e-6)


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return (self.fn(x) + x) / math.sqrt(2)


def conv(outputs, kernel):
    return spectral_norm(nn.Conv1d(WIDTH, outputs, kernel, padding=kernel // 2, padding_mode="circular"))


def block(kernel):
    return nn.Sequential(conv(WIDTH, kernel), Local(), nn.LeakyReLU(0.2))


class Disc(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList(nn.Sequential(block(1), Residual(block(KERNEL)), conv(1, 1)) for _ in range(1 + len(KEYS)))

    def forward(self, dino, x):
        return torch.cat([head(tokens).flatten(1) for head, tokens in zip(self.heads, dino(x))], 1)


def dinodisc():
    torch.manual_seed(11)
    # The keys' bias stays: it changes no attention, so leaving it out as published must give the same.
    dino, disc = Dino().requires_grad_(False).eval(), Disc()
    kept = {f"dino.{k}": v.clone() for k, v in dino.state_dict().items()}
    kept |= {f"disc.{k}": v.clone() for k, v in disc.state_dict().items()}
    x = torch.randn(2, 3, 40, 24)
    kept["x"] = x
    kept["eval"] = disc.eval()(dino, x).detach()
    disc.train()
    kept["train_1"] = disc(dino, x).detach()
    given = x.clone().requires_grad_()
    logits = disc(dino, given)
    kept["train_2"] = logits.detach()
    (logits.square().mean() + logits.mean()).backward()
    kept["grad.x"] = given.grad
    kept |= {f"grad.{k}": p.grad for k, p in disc.named_parameters()}
    kept |= {f"after.{k}": v.clone() for k, v in disc.state_dict().items() if k.endswith(("weight_u", "weight_v"))}
    save_file({k: v.contiguous() for k, v in kept.items()}, HERE / "dinodisc.safetensors")


def diffaug():
    torch.manual_seed(12)
    x = torch.randn(4, 3, 12, 20, requires_grad=True)
    u = torch.rand(4, 5)
    rows = []
    for i in range(4):
        # An eighth of each side, half to even; so many pixels to either side, zeros come in.
        most = [round(n / 8) for n in x.shape[2:]]
        dy, dx = (math.floor(u[i, k].item() * (2 * m + 1)) - m for k, m in enumerate(most))
        p = F.pad(x[i], [8, 8, 8, 8])[:, 8 + dy : 20 + dy, 8 + dx : 28 + dx]
        p = p + (u[i, 2] - 0.5)
        grey = p.mean(0, keepdim=True)
        p = grey + 2 * u[i, 3] * (p - grey)
        rows.append(p.mean() + (0.5 + u[i, 4]) * (p - p.mean()))
    out = torch.stack(rows)
    out.square().sum().backward()
    save_file({"x": x.detach(), "u": u, "out": out.detach(), "grad": x.grad}, HERE / "diffaug.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    dinodisc()
    diffaug()
