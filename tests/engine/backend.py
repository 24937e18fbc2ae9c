"""Writes the node tests that the package `onnx` carries as files of the zoo's form.

    python backend.py FOLDER

A test whose tensors are of types that Bartizan has no name for (sequences, maps, optional values,
half floats) is left out and counted. A test of several inputs is written a second time, NAME.fixed,
with all inputs but the first carried by the model: how exporters write indices, shapes and weights.
"""

import json
import pathlib
import sys

import numpy
import onnx
from onnx.backend.test.loader import load_model_tests

from zoo import DATATYPES, tensor


def tensors(values, infos):
    found = []
    for value, info in zip(values, infos, strict=True):
        if not isinstance(value, (numpy.ndarray, numpy.generic)):
            raise TypeError(type(value).__name__)
        value = numpy.asarray(value)
        if value.dtype.kind in "OU":
            value = value.astype(str)
        elif value.dtype.name not in DATATYPES:
            raise TypeError(value.dtype.name)
        found.append(tensor(info.name, value))
    return found


def save(folder, name, model, content):
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    (folder / f"{name}.json").write_text(json.dumps(content) + "\n")


def fixed(model, inputs, content):
    """The same test with all inputs but the first carried by the model."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.input[1:]
    for value, info in zip(inputs[1:], model.graph.input[1:], strict=True):
        array = numpy.asarray(value)
        changed.graph.initializer.append(onnx.numpy_helper.from_array(array, info.name))
    return changed, content | {"inputs": content["inputs"][:1]}


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written, left_out = 0, 0
    for test in load_model_tests(kind="node"):
        inputs, outputs = test.data_sets[0]
        graph = test.model.graph
        try:
            content = {
                "inputs": tensors(inputs, graph.input),
                "expected": tensors(outputs, graph.output),
                "original": [],
            }
        except (TypeError, ValueError, KeyError):
            left_out += 1
            continue
        name = test.name.removeprefix("test_")
        save(folder, name, test.model, content)
        if 1 < len(inputs):
            save(folder, f"{name}.fixed", *fixed(test.model, inputs, content))
        written += 1
    print(f"{written} written, {left_out} left out")


if __name__ == "__main__":
    main(sys.argv[1])
