"""Writes crates/scan/corpus/hostile/ with h5py==3.16.0: files that reach out or hold code."""

import json
import pathlib
import pickle
import zipfile

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2] / "crates/scan/corpus/hostile"
OUT = ROOT / "h5"
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


def archive(name, **members):
    """A zip with fixed times; underscores of two in a member's name stand for a slash."""
    path = ROOT / "zip" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as out:
        for member, data in members.items():
            out.writestr(zipfile.ZipInfo(member.replace("__", "/").replace("DOT", ".")), data)


def skops(module, name):
    node = {"__class__": name, "__module__": module, "__loader__": "FunctionNode", "content": "x"}
    return json.dumps({"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [node]})


METADATA = json.dumps({"keras_version": "3.15.1", "date_saved": "2026-11-24@10:00:00"})
archive("lambda.keras", metadataDOTjson=METADATA, configDOTjson=LAMBDA)
archive(
    "weights.keras",
    metadataDOTjson=METADATA,
    configDOTjson=json.dumps({"class_name": "Sequential", "config": {"layers": []}}),
    modelDOTweightsDOTh5=(OUT / "link.h5").read_bytes(),
)
archive("system.skops", schemaDOTjson=skops("os", "system"))
archive("handler.mar", **{"MAR-INF__MANIFESTDOTjson": "{}"})
archive("program.pt2", program__archive_format="pt2", program__version="1")
