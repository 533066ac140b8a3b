#!/usr/bin/env python3
"""Whole networks for tests/unit/networks.c: their structure, and what ONNX
Runtime makes of them.

  networks.py WORK OUT [NAME...]

Each network of CASES is exported to WORK/NAME.onnx (with its random weights; up
to 100 MB, never committed). OUT gets, a few kilobytes each:
  NAME.onnx  the same graph with names made short; of a tensor of more than 16
             floats only the dimensions and two numbers are left: center and
             scale, from which weights.py, and the test, make it again
  NAME.f32   the output for weights.picture, by ONNX Runtime with all of its
             optimisations off
The exports differ in what files met in the wild differ in: opset, exporter,
whether BatchNormalization and constants are folded, whether the batch is open.
"""
import os
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch

import architectures
from weights import picture, weights

KEPT = 16  # tensors up to this size keep their numbers


def case(size, opset=17, fold=False, batch=True, dynamo=False):
    """fold: BatchNormalization into convolutions, constants into one another;
    batch: its size is left open; dynamo: by PyTorch's newer exporter."""
    return {"size": size, "opset": opset, "fold": fold, "batch": batch, "dynamo": dynamo}


CASES = {
    "clip_vit_b32_narrow": case(96),
    "convnext_atto": case(64),
    "deit_tiny": case(64, opset=20, fold=True, batch=False),
    "densenet121": case(64),
    "efficientnet_b0": case(64, opset=13),
    "inception_v3": case(107),
    "mobilenet_v1": case(64, opset=11),
    "mobilenet_v2": case(64, opset=9),
    "mobilenet_v3_large": case(64, opset=18, dynamo=True),
    "mobilenet_v4_small": case(64),
    "regnet_y_400mf": case(64, opset=13),
    "repvgg_a0": case(64, fold=True),
    "resnet50": case(64, opset=11),
    "resnext50": case(64, fold=True, batch=False),
    "se_resnet50": case(64),
    "shufflenet_v2": case(64),
    "squeezenet_1_1": case(96, opset=12, fold=True),
    "vgg11_narrow": case(96, opset=11),
    "vit_b32_narrow": case(96, opset=18, dynamo=True),
    "xception": case(75, opset=14),
}


def export(model, path, size, opset, fold, batch, dynamo):
    x = (torch.from_numpy(picture(size)),)
    names = {"input_names": ["input"], "output_names": ["output"]}
    axes = {"input": {0: "batch"}, "output": {0: "batch"}} if batch else None
    if dynamo:
        # The traced example may not have a batch of 1, which would be fixed.
        shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch", max=1024)},)} if batch else {}
        torch.onnx.export(model, (x[0].repeat(2, 1, 1, 1),), path, dynamo=True,
                          opset_version=opset, external_data=False, optimize=True, verbose=False,
                          **names, **shapes)
        return
    modes = torch.onnx.TrainingMode
    torch.onnx.export(model, x, path, dynamo=False, opset_version=opset,
                      training=modes.EVAL if fold else modes.PRESERVE,
                      do_constant_folding=fold, dynamic_axes=axes, **names)


def rename(graph):
    """Short names. Exporters spell out the whole module tree in each."""
    names = {"": ""}
    for kind, tensors in (("w", graph.initializer), ("", graph.input), ("", graph.output)):
        for i, tensor in enumerate(tensors):
            names.setdefault(tensor.name, f"{kind}{i}" if kind else tensor.name)
            tensor.name = names[tensor.name]
    for i, node in enumerate(graph.node):
        node.name = ""
        node.doc_string = ""
        for k, name in enumerate(node.output):
            names.setdefault(name, f"v{i}" + (f"_{k}" if k else ""))
        for ends in (node.input, node.output):
            ends[:] = [names[name] for name in ends]


def variances_of_means(graph):
    """For each variance of a BatchNormalization, by name: how its means differ.

    The means made anew are no longer those of their channels, so that what they
    took away stays in; unless the variance counts it, it doubles and doubles."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return {node.input[4]: onnx.numpy_helper.to_array(tensors[node.input[3]]).var()
            for node in graph.node if node.op_type == "BatchNormalization"}


def strip(model):
    """What the committed file holds of an exported one."""
    graph = model.graph
    rename(graph)
    for field in ("value_info", "doc_string", "quantization_annotation", "metadata_props"):
        graph.ClearField(field)
    for field in ("functions", "metadata_props", "doc_string"):
        model.ClearField(field)
    for node in graph.node:
        node.ClearField("metadata_props")
    offsets = variances_of_means(graph)
    # With the statistics folded into them, biases hold means, too.
    biases = {node.input[2] for node in graph.node
              if node.op_type == "Conv" and len(node.input) > 2}
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) <= KEPT:
            continue
        values = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        values += 2 * offsets.get(tensor.name, 0)
        center, scale = values.mean(), values.std() * 3**0.5
        if values.min() > 0:  # a variance stays one
            scale = min(scale, 0.3 * center)
        elif tensor.name in biases:
            scale = min(scale, 0.2)
        elif abs(center) < scale / 4:
            center = 0
        for field in ("raw_data", "float_data", "doc_string", "metadata_props"):
            tensor.ClearField(field)
        tensor.float_data[:] = [center, scale]
    return model


def fill(model):
    """A stripped model with its weights, as the test makes them."""
    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    for tensor in filled.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) > KEPT:
            center, scale = tensor.float_data
            tensor.ClearField("float_data")
            tensor.raw_data = weights(tensor.name, tuple(tensor.dims), center, scale).tobytes()
    return filled


def run(path, pictures):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [session.run(None, {session.get_inputs()[0].name: x})[0] for x in pictures]


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def make(name, work, out):
    options = CASES[name]
    path = os.path.join(work, name + ".onnx")
    export(architectures.build(name, options["size"]), path, **options)
    stripped = strip(onnx.load(path))
    with open(os.path.join(out, name + ".onnx"), "wb") as file:
        file.write(stripped.SerializeToString(deterministic=True))

    filled = os.path.join(work, name + ".filled.onnx")
    onnx.save(fill(stripped), filled)
    x = picture(options["size"])
    y, other = run(filled, [x, -x[:, ::-1, ::-1]])
    y.astype("<f4").tofile(os.path.join(out, name + ".f32"))
    parameters = sum(int(np.prod(t.dims)) for t in stripped.graph.initializer)
    # A network whose output hardly depends on its input tests nothing.
    print(f"{name:20} {stripped.ByteSize() / 1000:6.1f} kB {parameters / 1e6:6.1f} M parameters; "
          f"output {y.shape}, deviation {y.std():.3g}, cosine to another picture's "
          f"{cosine(y, other):.3f}", flush=True)
    if not np.isfinite(y).all() or not 0.01 < y.std() < 100 or cosine(y, other) > 0.995:
        sys.exit(f"{name}: not a healthy network")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")
    work, out = sys.argv[1:3]
    os.makedirs(work, exist_ok=True)
    os.makedirs(out, exist_ok=True)
    for name in sys.argv[3:] or CASES:
        make(name, work, out)


if __name__ == "__main__":
    main()
