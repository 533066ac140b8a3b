#!/usr/bin/env python3
"""Quantises ONNX files with ONNX Runtime's own quantiser, for bench/engines.py.

  bench/engines.sh qdq.py FOLDER OUT [--photos PHOTOS]

Each FOLDER/*.onnx becomes OUT/*.onnx: QuantizeLinear and DequantizeLinear
nodes, activations in u8, weights in s8, a scale an output channel. The ranges
are the least and greatest of 16 pictures: photos if a folder is given, blocks
of random colour otherwise. This is what the speed of int8 is compared on; how
good such a file is, is another matter (`sosie model quantize`).
"""
import argparse
import os
import sys
import tempfile

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization import shape_inference

N_PICTURES = 16


def blocks(size, seed):
    """(1, 3, size, size): blocks of one colour and noise."""
    rng = np.random.default_rng(seed)
    places = np.arange(size) * 8 // size
    colours = rng.uniform(-1.5, 1.5, (1, 3, 8, 8))[:, :, places][..., places]
    return (colours + rng.uniform(-0.5, 0.5, (1, 3, size, size))).astype(np.float32)


def photo(path, size):
    from PIL import Image
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((size, size)), np.float32)
    x = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return x.transpose(2, 0, 1)[None].astype(np.float32)


class Pictures(quantization.CalibrationDataReader):
    def __init__(self, name, size, photos):
        if photos:
            made = (photo(path, size) for path in photos)
        else:
            made = (blocks(size, seed) for seed in range(N_PICTURES))
        self.feeds = ({name: x} for x in made)

    def get_next(self):
        return next(self.feeds, None)


def quantize(source, target, photos):
    first = onnx.load(source, load_external_data=False).graph.input[0]
    size = first.type.tensor_type.shape.dim[-1].dim_value
    with tempfile.TemporaryDirectory() as folder:
        ready = os.path.join(folder, "ready.onnx")
        shape_inference.quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantization.quantize_static(
            ready, target, Pictures(first.name, size, photos),
            quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--photos", help="a folder of photos to calibrate on")
    args = parser.parse_args()
    photos = []
    if args.photos:
        photos = sorted(os.path.join(folder, name) for folder, _, names in os.walk(args.photos)
                        for name in names if name.lower().endswith((".jpg", ".png", ".webp")))
        photos = photos[::max(1, len(photos) // N_PICTURES)][:N_PICTURES]
    os.makedirs(args.out, exist_ok=True)
    for name in sorted(os.listdir(args.folder)):
        if name.endswith(".onnx"):
            target = os.path.join(args.out, name)
            quantize(os.path.join(args.folder, name), target, photos)
            print(f"{target}: {os.path.getsize(target) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
