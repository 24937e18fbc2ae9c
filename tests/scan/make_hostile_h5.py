"""Writes crates/scan/corpus/hostile/h5/ with h5py==3.16.0: files that reach out or hold code."""

import json
import pathlib
import pickle

import h5py
import numpy as np

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/scan/corpus/hostile/h5"
LAMBDA = json.dumps(
    {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Lambda", "config": {"function": ["4wEAAA==", None, None]}}]},
    }
)


class Call:
    def __reduce__(self):
        import os

        return os.system, ("id",)


def write(name, **options):
    return h5py.File(OUT / f"{name}.h5", "w", **options)


OUT.mkdir(parents=True, exist_ok=True)
with write("link") as file:
    file["weights"] = h5py.ExternalLink("/etc/passwd", "/x")
with write("dense", libver="latest") as file:
    for n in range(40):
        file[f"w{n}"] = n
    file["weights"] = h5py.ExternalLink("../other.h5", "/x")
with write("storage") as file:
    file.create_dataset("w", (8,), "u1", external=[("/etc/passwd", 0, 8)])
with write("virtual", libver="latest") as file:
    layout = h5py.VirtualLayout((8,), "u1")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "w", (8,))
    file.create_virtual_dataset("w", layout)
with write("lambda") as file:
    file.attrs["model_config"] = LAMBDA
with write("fixed") as file:
    file.attrs["model_config"] = np.bytes_(LAMBDA)
with write("pickle") as file:
    file.create_group("g").attrs["x"] = np.void(pickle.dumps(Call(), 2))
