#!/usr/bin/env python3
"""Training on Sosie beside PyTorch: forward and backward of one network.

  tools/golden/networks/networks.sh ../../../bench/training.py build/bench/bench_train
      [--arch sosie-m] [--size 128] [--batch 32] [--threads 2] [--rounds 5]

Both run the residual network that `sosie train --arch` makes, in float32, in
alternating rounds; printed are the medians and their ratio. PyTorch splits one
batch among its threads; Sosie gives each thread a shard of it.
"""
import argparse
import re
import statistics
import subprocess
import sys
import time

ARCHS = {  # src/train/arch.c
    "sosie-s": (16, (24, 48, 96, 192), (1, 1, 2, 1)),
    "sosie-m": (24, (32, 64, 128, 256), (1, 2, 2, 2)),
    "sosie-l": (32, (48, 96, 192, 384), (2, 2, 2, 2)),
}


def build(torch, arch):
    nn = torch.nn

    def conv(a, b, kernel, stride):
        return nn.Sequential(nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False),
                             nn.BatchNorm2d(b))

    class Block(nn.Module):
        def __init__(self, a, b, stride):
            super().__init__()
            self.first, self.second = conv(a, b, 3, stride), conv(b, b, 3, 1)
            self.short = conv(a, b, 1, stride) if stride != 1 or a != b else nn.Identity()

        def forward(self, x):
            y = self.second(torch.relu(self.first(x)))
            return torch.relu(y + self.short(x))

    stem, widths, blocks = ARCHS[arch]
    layers, a = [conv(3, stem, 3, 2), nn.ReLU()], stem
    for width, n in zip(widths, blocks, strict=True):
        for i in range(n):
            layers.append(Block(a, width, 1 if i else 2))
            a = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(a, 320))


def torch_round(torch, network, x, seconds):
    start, n = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        network.zero_grad()
        network(x).sum().backward()
        n += len(x)
    return n / (time.monotonic() - start)


def sosie_round(args, seconds):
    done = subprocess.run(
        [args.bench, args.arch, str(args.size), str(args.batch // args.threads),
         str(args.threads), str(seconds)],
        stdout=subprocess.PIPE, text=True, check=True)
    return float(re.search(r"([\d.]+) views/s", done.stdout).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("bench")
    parser.add_argument("--arch", default="sosie-m", choices=ARCHS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    import torch  # noqa: PLC0415

    torch.set_num_threads(args.threads)
    network = build(torch, args.arch).to(memory_format=torch.channels_last)
    x = torch.randn(args.batch, 3, args.size, args.size)
    x = x.to(memory_format=torch.channels_last)
    torch_round(torch, network, x, 1)
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(sosie_round(args, 4))
        theirs.append(torch_round(torch, network, x, 4))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{args.arch} @{args.size}, batch {args.batch}, {args.threads} threads: "
          f"Sosie {a:.1f}, PyTorch {torch.__version__} {b:.1f} images/s: {a / b:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
