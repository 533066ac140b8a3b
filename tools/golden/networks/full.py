#!/usr/bin/env python3
"""Writes networks at their full sizes, with random weights, as ONNX files.

  full.py FOLDER [NAME...]

For bench/engines.py, and for trying an engine on what people bring: opset 17,
the batch left open, BatchNormalization folded, as exporters do it by default.
"""
import os
import sys

import torch

import architectures

# What bench/engines.py compares, with the sizes that they were made for.
BENCH = ["mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "resnet50", "repvgg_a0",
         "xception", "vit_b32"]
SIZES = {"xception": 299, "inception_v3": 299, "vgg11_narrow": 96}


def export(name, path):
    size = SIZES.get(name, 224)
    model = architectures.build(name, size)
    torch.onnx.export(model, (architectures.pictures(1, size, 0),), path, dynamo=False,
                      opset_version=17, input_names=["input"], output_names=["output"],
                      dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for name in sys.argv[2:] or BENCH:
        path = os.path.join(sys.argv[1], name + ".onnx")
        export(name, path)
        print(f"{path}: {os.path.getsize(path) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
