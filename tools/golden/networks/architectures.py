"""The architectures that people bring, with random weights in healthy ranges.

No network is downloaded: torchvision and timm give the structure, `build` the
numbers. Weights alone would do for ops, but not for whole networks: with the
statistics of a fresh BatchNormalization (mean 0, variance 1) activations vanish
or blow up within a few layers, and then any engine agrees with any other. So
the statistics are measured on pictures of coloured blocks, as training would.
"""
import math

import timm
import torch
import torchvision
from timm.utils.model import reparameterize_model
from torch import nn

from weights import pair


def vgg11(width):
    """VGG-11 with 1/width of its channels; its classifier fits 96x96 pixels."""
    cfg = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    cfg = [c if c == "M" else c // width for c in cfg]
    model = torchvision.models.vgg.VGG(torchvision.models.vgg.make_layers(cfg))
    model.avgpool = nn.Identity()
    model.classifier[0] = nn.Linear(cfg[-2] * 3 * 3, 4096 // width)
    model.classifier[3] = nn.Linear(4096 // width, 4096 // width)
    model.classifier[6] = nn.Linear(4096 // width, 1000)
    return model


def of_torchvision(name, **options):
    return lambda size: getattr(torchvision.models, name)(weights=None, **options)


def of_timm(name, **options):
    return lambda size: timm.create_model(name, pretrained=False, **options)


def vit_of_timm(name, **options):
    """Vision transformers have their picture's size in their weights."""
    return lambda size: timm.create_model(name, pretrained=False, img_size=size, **options)


# A function of the picture's size each.
ARCHITECTURES = {
    "clip_vit_b32": vit_of_timm("vit_base_patch32_clip_quickgelu_224", num_classes=512),
    "clip_vit_b32_narrow": vit_of_timm("vit_base_patch32_clip_quickgelu_224", num_classes=512,
                                       embed_dim=192, num_heads=3),
    "convnext_atto": of_timm("convnext_atto"),
    "deit_tiny": vit_of_timm("deit_tiny_distilled_patch16_224"),
    "densenet121": of_torchvision("densenet121"),
    "efficientnet_b0": of_timm("efficientnet_b0"),
    "inception_v3": of_timm("inception_v3"),
    "mobilenet_v1": of_timm("mobilenetv1_100"),
    "mobilenet_v2": of_torchvision("mobilenet_v2"),
    "mobilenet_v3_large": of_torchvision("mobilenet_v3_large"),
    "mobilenet_v4_small": of_timm("mobilenetv4_conv_small"),
    "regnet_y_400mf": of_torchvision("regnet_y_400mf"),
    "repvgg_a0": of_timm("repvgg_a0"),
    "resnet50": of_torchvision("resnet50"),
    "resnext50": of_torchvision("resnext50_32x4d"),
    "se_resnet50": of_timm("seresnet50"),
    "shufflenet_v2": of_torchvision("shufflenet_v2_x1_0"),
    "squeezenet_1_1": of_torchvision("squeezenet1_1"),
    "vgg11_narrow": lambda size: vgg11(4),
    "vit_b32": vit_of_timm("vit_base_patch32_224"),
    "vit_b32_narrow": vit_of_timm("vit_base_patch32_224", embed_dim=192, num_heads=3),
    "xception": of_timm("legacy_xception"),
}


def pictures(n, size, seed):
    """(n, 3, size, size): blocks of one colour, 1/8 of the picture wide, and
    noise; mean 0, deviation about 1."""
    rng = torch.Generator().manual_seed(seed)
    blocks = torch.rand(n, 3, 8, 8, generator=rng) * 3 - 1.5
    noise = torch.rand(n, 3, size, size, generator=rng) - 0.5
    return nn.functional.interpolate(blocks, size=(size, size)) + noise


# What is added behind a BatchNormalization, on average. Around 0 the rest of a
# network enlarges every difference, that of two pictures and that of a rounding
# error alike, which trained networks do not; around 1 it loses them all.
SHIFTS = {"inception_v3": 0.75, "mobilenet_v1": 0.2, "mobilenet_v2": 0.3,
          "mobilenet_v4_small": 0.3, "shufflenet_v2": 0.3}
SHIFT = 0.5


def randomise(model, seed, shift):
    """Every parameter random: He for convolutions, scales about 1, no zeros."""
    rng = torch.Generator().manual_seed(seed)

    def normal(tensor, mean, deviation):
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * deviation + mean)

    with torch.no_grad():
        for module in model.modules():
            for name, tensor in module.named_parameters(recurse=False):
                if isinstance(module, nn.Conv2d) and name == "weight":
                    normal(tensor, 0, math.sqrt(2 / tensor[0].numel()))
                    pair(tensor)
                elif isinstance(module, nn.Linear) and name == "weight":
                    normal(tensor, 0, math.sqrt(1 / tensor.shape[1]))
                elif "Norm" in type(module).__name__ and name == "weight":
                    normal(tensor, 1, 0.15)
                elif tensor.dim() > 1:  # class tokens, positions
                    normal(tensor, 0, 0.5)
                else:
                    normal(tensor, 0, 0.1)
                if isinstance(module, nn.modules.batchnorm._BatchNorm) and name == "bias":
                    normal(tensor, shift, 0.1)
                if name == "gamma":  # the layer scale of ConvNeXt
                    normal(tensor, 0.5, 0.1)


def measure_statistics(model, size, seed):
    """BatchNormalization's means and variances, over a batch of pictures."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all that is seen
        norm.train()
    with torch.no_grad():
        for k in range(2):
            model(pictures(8, size, seed + k))


def build(name, size, seed=1):
    """The network in the form in which it is used."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[name](size).eval()
    randomise(model, seed, SHIFTS.get(name, SHIFT))
    measure_statistics(model, size, seed)
    return reparameterize_model(model).eval()
