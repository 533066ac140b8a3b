#!/usr/bin/env python3
"""Writes what PyTorch makes of a small network, forward and backward.

  gradients.py FILE          tests/golden/train/gradients.f32

The network is that of tests/unit/gradients_torch.c: convolution, batch
normalisation, Relu, a depthwise convolution, squeeze and excitation, two pools,
Gemm, on a batch of 3. FILE holds, as float32 and one after the other, the
logits and the gradients of a linear functional of them by each of TENSORS; in
place of "mean" and "variance", those of the batch. PyTorch computes in double,
so that every digit of the file counts.

Runs in the virtual environment of ../networks/networks.sh (made with
torch 2.7.1). The numbers that go in are made by values(), here and in the test.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F

BATCH, CLASSES, EPSILON = 3, 5, 1e-3
TENSORS = {  # name: shape, center, scale
    "x": ((BATCH, 3, 9, 9), 0, 0.5),
    "stem": ((8, 3, 3, 3), 0, 0.2),
    "scale": ((8,), 1, 0.2),
    "shift": ((8,), 0.25, 0.2),
    "mean": ((8,), 0, 0),
    "variance": ((8,), 0, 0),
    "depthwise": ((8, 1, 3, 3), 0, 0.25),
    "depthwise bias": ((8,), 0, 0.2),
    "squeeze": ((4, 8, 1, 1), 0, 0.5),
    "squeeze bias": ((4,), 0.5, 0.2),
    "excite": ((8, 4, 1, 1), 0, 0.5),
    "excite bias": ((8,), 0, 0.5),
    "head": ((CLASSES, 8), 0, 0.5),
    "head bias": ((CLASSES,), 0, 0.5),
    "functional": ((BATCH, CLASSES), 0, 0.5),
}


def values(start, shape, center, scale):
    i = np.arange(start, start + int(np.prod(shape)))
    v = ((i * 37 + 11) % 101 - 50).astype(np.float32) / np.float32(25)
    v = np.float32(center) + np.float32(scale) * v
    return torch.tensor(v.reshape(shape).astype(np.float64), requires_grad=True)


def network(t):
    y = F.conv2d(t["x"], t["stem"], stride=2, padding=1)
    moments = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
    y = F.batch_norm(y, None, None, t["scale"], t["shift"], training=True, eps=EPSILON)
    y = F.relu(y)
    y = F.conv2d(y, t["depthwise"], t["depthwise bias"], padding=1, groups=8)
    gate = F.relu(F.conv2d(y.mean((2, 3), keepdim=True), t["squeeze"], t["squeeze bias"]))
    y = y * F.hardsigmoid(F.conv2d(gate, t["excite"], t["excite bias"]))
    y = F.max_pool2d(y, 3, stride=2, padding=1)
    return F.linear(y.mean((2, 3)), t["head"], t["head bias"]), moments


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tensors, start = {}, 0
    for name, (shape, center, scale) in TENSORS.items():
        tensors[name] = values(start, shape, center, scale)
        start += tensors[name].numel()
    logits, (mean, variance) = network(tensors)
    (logits * tensors["functional"].detach()).sum().backward()
    tensors["mean"].grad, tensors["variance"].grad = mean.detach(), variance.detach()
    parts = [logits.detach()] + [t.grad for name, t in tensors.items() if name != "functional"]
    with open(sys.argv[1], "wb") as out:
        for part in parts:
            out.write(part.numpy().astype("<f4").tobytes())
    for name, t in tensors.items():
        if t.grad is not None:
            print(f"{name:16} largest {t.grad.abs().max():.4g}, zeros {(t.grad == 0).sum()} of {t.numel()}")


if __name__ == "__main__":
    main()
