"""Writes the lists of names that the readers of formats match against.

    python tests/scan/make_names.py keras|onnx|skops

keras==3.15.1 (and a backend); onnx==1.23.2; skops==0.16.0. The output is reviewed before
it is committed: what is dangerous is left out here by name, and says so.
"""

import importlib
import inspect
import pathlib
import pkgutil
import sys

SRC = pathlib.Path(__file__).resolve().parents[2] / "crates/scan/src"

# Run code that comes with the model, or open files.
KERAS_NOT = {"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "SavedModel", "KerasFileEditor"}
KERAS_FUNCTIONS_NOT = {"get", "serialize", "deserialize", "get_file", "load", "save", "print"}
# Call the functions that they are given.
KERAS_HIGHER = {
    "custom_gradient", "vectorized_map", "map", "scan", "fori_loop", "while_loop", "cond", "switch",
    "associative_scan", "Map", "Scan", "ForiLoop", "WhileLoop", "Cond", "Switch", "VectorizedMap",
    "CustomGradient", "AssociativeScan",
}


def keras():
    import keras as k
    from keras.src.api_export import REGISTERED_NAMES_TO_OBJS

    kinds = (
        k.layers.Layer, k.losses.Loss, k.metrics.Metric, k.optimizers.Optimizer, k.Operation,
        k.initializers.Initializer, k.regularizers.Regularizer, k.constraints.Constraint,
        k.DTypePolicy, k.optimizers.schedules.LearningRateSchedule,
    )
    classes = (
        "layers", "optimizers", "losses", "metrics", "initializers", "regularizers", "constraints",
        "dtype_policies", "mixed_precision", "models", "quantizers", "random", "Model", "Sequential",
        "Variable", "KerasTensor", "DTypePolicy", "FloatDTypePolicy", "Layer", "Initializer", "Input",
    )
    functions = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints", "ops")
    rows = set()
    for path, what in REGISTERED_NAMES_TO_OBJS.items():
        module, _, name = path.rpartition(".")
        if ".legacy" in path or name.startswith("_"):
            continue
        part = path.split(".")[1]
        if inspect.isclass(what):
            if part in classes and name not in KERAS_NOT | KERAS_HIGHER:
                rows.add((module, name))
        elif part in functions and name not in KERAS_FUNCTIONS_NOT | KERAS_HIGHER:
            module = module.replace("keras.ops.nn", "keras.ops").replace("keras.ops.numpy", "keras.ops")
            rows.add((f"function {module}", name))
            if inspect.isfunction(what):
                rows.add((f"function {what.__module__}", name))
    skip = ("test", "torch", "jax", "openvino", "legacy.", "backend", "tfsm", "lambda")
    own = ("layers", "losses", "metrics", "optimizers", "initializers", "regularizers", "constraints",
           "models", "ops", "dtype_policies", "activations")
    for info in pkgutil.walk_packages(k.src.__path__, "keras.src."):
        if any(word in info.name for word in skip) or info.name.split(".")[2] not in own:
            continue
        for name, what in vars(importlib.import_module(info.name)).items():
            if inspect.isclass(what) and what.__module__ == info.name and issubclass(what, kinds):
                if not name.startswith("_") and name not in KERAS_NOT | KERAS_HIGHER:
                    rows.add((info.name, name))
    return SRC / "config/keras.tsv", [f"{module}\t{name}" for module, name in sorted(rows)]


def onnx():
    """Standard operators; those of com.microsoft are kept as they were reviewed."""
    from onnx import defs

    path = SRC / "onnx/ops.tsv"
    rows = {line for line in path.read_text().splitlines() if line.startswith("com.microsoft\t")}
    rows |= {f"{schema.domain}\t{schema.name}" for schema in defs.get_all_schemas_with_history()}
    return path, sorted(rows)


def skops():
    from skops.io import _trusted_types as trusted

    names = {name for key in dir(trusted) if key.endswith("_NAMES") for name in getattr(trusted, key)}
    return SRC / "config/skops.tsv", sorted(names - {"builtins.map"})


if __name__ == "__main__":
    target, lines = {"keras": keras, "onnx": onnx, "skops": skops}[sys.argv[1]]()
    target.write_text("\n".join(lines) + "\n")
