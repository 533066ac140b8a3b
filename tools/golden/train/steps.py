#!/usr/bin/env python3
"""A small network's first steps of training, as PyTorch takes them.

  steps.py OUT.txt           tests/golden/train/steps.txt

The network is that of tests/unit/steps_torch.c: two convolutions with batch
normalisation, the second added to what it reads, the mean over the plane, Gemm;
cross-entropy on a batch of 6, five steps of SGD with momentum and of AdamW with
decay. OUT.txt has an array a line: its name, how many numbers, the numbers:
the loss before each step, and the last layer's weights after all. In double, so
that every digit counts.

Runs in the virtual environment of ../networks/networks.sh. The numbers that go
in are made by values(), here and in the test.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F

BATCH, SIDE, WIDTH, CLASSES, STEPS = 6, 8, 8, 5, 5
LABELS = [0, 3, 1, 4, 2, 3]
TENSORS = {  # name: shape, center, scale
    "image": ((BATCH, 3, SIDE, SIDE), 0, 0.5),
    "stem": ((WIDTH, 3, 3, 3), 0, 0.2),
    "stem scale": ((WIDTH,), 1, 0.2),
    "stem shift": ((WIDTH,), 0.1, 0.2),
    "body": ((WIDTH, WIDTH, 3, 3), 0, 0.1),
    "body scale": ((WIDTH,), 0.5, 0.2),
    "body shift": ((WIDTH,), 0, 0.2),
    "head": ((CLASSES, WIDTH), 0, 0.5),
    "head bias": ((CLASSES,), 0, 0.1),
}


def values():
    tensors, start = {}, 0
    for name, (shape, center, scale) in TENSORS.items():
        i = np.arange(start, start + int(np.prod(shape)))
        v = ((i * 37 + 11) % 101 - 50).astype(np.float32) / np.float32(25)
        v = np.float32(center) + np.float32(scale) * v
        tensors[name] = torch.tensor(v.reshape(shape).astype(np.float64))
        start += len(i)
    return tensors


def logits(t):
    def norm(x, name):
        return F.batch_norm(x, None, None, t[f"{name} scale"], t[f"{name} shift"], training=True,
                            eps=float(np.float32(1e-5)))

    x = F.relu(norm(F.conv2d(t["image"], t["stem"], padding=1), "stem"))
    x = F.relu(x + norm(F.conv2d(x, t["body"], padding=1), "body"))
    return F.linear(x.mean((2, 3)), t["head"], t["head bias"])


def train(make):
    tensors = values()
    params = [t.requires_grad_() for name, t in tensors.items() if name != "image"]
    optimiser, losses = make(params), []
    for _ in range(STEPS):
        loss = F.cross_entropy(logits(tensors), torch.tensor(LABELS))
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return losses, tensors["head"].detach().numpy().ravel()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    betas = tuple(float(np.float32(beta)) for beta in (0.9, 0.999))
    ways = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=betas[0]),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.02, betas=betas, eps=1e-8, weight_decay=0.1),
    }
    with open(sys.argv[1], "w", encoding="ascii") as file:
        print(f"# by tools/golden/train/steps.py; torch {torch.__version__}, numpy "
              f"{np.__version__}", file=file)
        print("# losses to 1e-4, weights to 1e-3 of the largest", file=file)
        for name, make in ways.items():
            for what, numbers in zip(("losses", "head"), train(make)):
                print(f"{name}.{what}", len(numbers), *(f"{v:.12g}" for v in numbers), file=file)


if __name__ == "__main__":
    main()
