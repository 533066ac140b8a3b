#!/usr/bin/env python3
"""Prints the golden pixels of tests/unit/fit.c: Pillow's BILINEAR resize.

  python3 tools/golden/fit.py   (needs Pillow; made with 13.0)

The picture is a formula, so that the test makes it too.
"""
from PIL import Image

WIDTH, HEIGHT = 13, 9
SIZES = [(4, 3), (3, 11), (17, 2), (1, 1)]


def main():
    source = Image.new("RGB", (WIDTH, HEIGHT))
    source.putdata([tuple((x * 37 + y * 91 + c * 53 + x * y * 7) % 256 for c in range(3))
                    for y in range(HEIGHT) for x in range(WIDTH)])
    for size in SIZES:
        pixels = source.resize(size, Image.BILINEAR).tobytes()
        print(f"    {{{size[0]}, {size[1]}, (const uint8_t[]){{")
        print("        " + ", ".join(map(str, pixels)) + "}},")


if __name__ == "__main__":
    main()
