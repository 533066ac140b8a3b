"""Numbers that this script and tests/golden_weights.h make alike, to the bit.

A network's weights are too large to keep beside the tests, and need not be kept:
element i of the tensor called `name` is

    float32(center + scale * u),  u = (splitmix64(i, seed fnv1a64(name)) >> 40) / 2^23 - 1

in double precision: u has 24 bits and scale is a float, so that the product is
exact and the sum is rounded once, whatever the compiler makes of it.

A convolution's weights for input channels 2k and 2k + 1 are opposites, and the
filters of a depthwise one are the same for both. Behind a Relu every channel has
about the same positive mean; taking it away is what the measured means of a
BatchNormalization do, and a generator cannot. Left in, it outgrows the picture
within twenty layers.
"""
import numpy as np

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def uniform(name, n):
    """n doubles in [-1, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN_RATIO
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def pair(kernels):
    """Makes (O, I, H, W) what is said above."""
    if kernels.shape[1] == 1:
        kernels[1::2] = kernels[: kernels.shape[0] // 2 * 2 : 2]
    else:
        kernels[:, 1::2] = -kernels[:, : kernels.shape[1] // 2 * 2 : 2]


def weights(name, dims, center, scale):
    u = uniform(name, int(np.prod(dims, dtype=np.int64))).reshape(dims)
    if len(dims) == 4:
        pair(u)
    return (np.float64(np.float32(center)) + np.float64(np.float32(scale)) * u).astype(np.float32)


def picture(size):
    """(1, 3, size, size): blocks of one colour, 8 x 8 of them a channel, and
    noise. A picture of noise alone would leave nothing after global pooling."""
    places = np.arange(size) * 8 // size
    blocks = uniform("blocks", 3 * 8 * 8).reshape(3, 8, 8)[:, places][:, :, places]
    noise = uniform("noise", 3 * size * size).reshape(3, size, size)
    return (1.5 * blocks + 0.5 * noise).astype(np.float32)[None]
