"""Writes expected.json: what torch.autograd.grad gives. Run with PyTorch 2.11.0; gradients of gradients and unused inputs among them."""

import json
import pathlib

import torch

x = torch.tensor([0.5, -1.25, 2.0], requires_grad=True)
w = torch.tensor([[0.5, 0.25, -0.125], [0.75, -0.5, 0.25]], requires_grad=True)
unused = torch.ones(2, requires_grad=True)


def hidden():
    return torch.tanh(w @ x)


def listed(grads):
    return [None if g is None else g.tolist() for g in grads]


loss = hidden().square().sum()
table = {"scalar": listed(torch.autograd.grad(loss, [x, w]))}
# Of a vector, each element with its own weight; of two outputs, one without a weight.
table["vector"] = listed(torch.autograd.grad(hidden(), [x, w], grad_outputs=torch.tensor([1.5, -2.0])))
both = torch.autograd.grad([hidden(), (x * x).sum()], [x], grad_outputs=[torch.tensor([1.0, 3.0]), None])
table["two_outputs"] = listed(both)
table["unused"] = listed(torch.autograd.grad(hidden().sum(), [x, unused], allow_unused=True))
# A gradient penalty, through the gradient's own graph.
(first,) = torch.autograd.grad(hidden().sum(), [x], create_graph=True)
table["second"] = listed(torch.autograd.grad(first.square().sum(), [x, w]))
(pathlib.Path(__file__).parent / "expected.json").write_text(json.dumps(table, indent=1) + "\n")
