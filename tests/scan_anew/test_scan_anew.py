"""The corpus made anew by the genuine libraries, in full: what their users save must be cleared.

The ordinary run reads the small files that are committed; this one makes every estimator, format and protocol again.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests/scan"
BINARY = os.environ.get("BARTIZAN_BIN", str(ROOT / "target/debug/bartizan"))
# Of files that genuine libraries wrote, at most this share may be left to a person.
SHARE_NOT_CLEARED_MAX = 0.03


def judged(folder):
    done = subprocess.run([BINARY, "-e", "/nonexistent", "scan", folder, "--format", "json"], capture_output=True, timeout=600)
    return {one["path"]: one for one in json.loads(done.stdout)["files"]}


def make(script, *args, **env):
    subprocess.run([sys.executable, SCRIPTS / script, *map(str, args)], check=True, timeout=3_000, env={**os.environ, **env})


def told(files):
    odd = {path: [found["what"] for found in one["findings"]][:3] for path, one in files.items() if one["verdict"] != "cleared"}
    return json.dumps(odd, indent=1)


def test_what_libraries_pickle_is_cleared(tmp_path):
    """All estimators of scikit-learn, boosters, frames, arrays, sparse matrices, distributions, in each protocol and as joblib."""
    make("make_benign.py", tmp_path)
    (tmp_path / "versions.txt").unlink()
    files = judged(tmp_path)
    verdicts = [one["verdict"] for one in files.values()]
    for group in ("sklearn_all", "sklearn", "boost", "numpy", "pandas", "scipy", "python", "joblib", "torch", "safetensors", "gguf"):
        assert any(path.startswith(str(tmp_path / group)) for path in files), f"no file of {group}"
    n_odd = len(verdicts) - verdicts.count("cleared")
    print(f"{len(verdicts)} files, {n_odd} not cleared, {verdicts.count('hostile')} hostile")
    assert len(verdicts) > 500 and verdicts.count("hostile") == 0, told(files)
    assert n_odd <= SHARE_NOT_CLEARED_MAX * len(verdicts), told(files)


@pytest.mark.parametrize("kind", ["onnx", "gguf", "xgboost", "lightgbm", "skops", "keras", "h5", "tensorflow"])
def test_what_a_library_saves_in_its_own_format_is_cleared(kind, tmp_path):
    make("make_formats.py", kind, SCAN_CORPUS=str(tmp_path))
    files = judged(tmp_path)
    assert files and all(one["verdict"] == "cleared" for one in files.values()), told(files)


def test_tokenizers_are_cleared(tmp_path):
    """Trained and saved by the library, with what a checkout of transformers has beside them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    texts = ["a hostile file", "a benign file", "a model of models"] * 20
    for name, model, trainer in (
        ("bpe", models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(special_tokens=["[UNK]", "[CLS]", "[SEP]"])),
        ("wordpiece", models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(special_tokens=["[UNK]", "[CLS]", "[SEP]"])),
        ("unigram", models.Unigram(), trainers.UnigramTrainer(special_tokens=["[UNK]"], unk_token="[UNK]")),
    ):
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel() if name == "bpe" else pre_tokenizers.Whitespace()
        tokenizer.train_from_iterator(texts, trainer)
        if name == "wordpiece":
            tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
        folder = tmp_path / name
        folder.mkdir()
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[UNK]"}))
        template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] | trim }}{% endfor %}"
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}))
    files = judged(tmp_path)
    assert len(files) == 9 and all(one["verdict"] == "cleared" for one in files.values()), told(files)


def test_what_torch_saves_is_cleared(tmp_path):
    torch = pytest.importorskip("torch", reason="no CPU build of torch is installed here")
    layers = torch.nn
    model = layers.Sequential(layers.Conv2d(1, 4, 3), layers.BatchNorm2d(4), layers.ReLU(), layers.Flatten(), layers.Linear(4 * 36, 3), layers.Dropout())
    things = {
        "module": model, "state": model.state_dict(), "rnn": layers.LSTM(3, 4, 2), "encoder": layers.TransformerEncoderLayer(8, 2),
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(), "half": torch.ones(3, dtype=torch.bfloat16),
        "sparse": torch.eye(3).to_sparse(), "checkpoint": {"epoch": 1, "model": model.state_dict(), "loss": 0.5},
    }
    for name, thing in things.items():
        torch.save(thing, tmp_path / f"{name}.pt")
        torch.save(thing, tmp_path / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.trace(model.eval(), torch.ones(1, 1, 8, 8)), tmp_path / "traced.pt")
    files = judged(tmp_path)
    assert all(one["verdict"] == "cleared" for one in files.values()), told(files)
