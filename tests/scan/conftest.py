"""Fixtures: the binary under test, and hostile files made anew."""

import json
import os
import pathlib
import subprocess

import pytest

import vectors

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENIGN = ROOT / "crates/scan/corpus/benign"
BINARY = os.environ.get("BARTIZAN_BIN", str(ROOT / "target/debug/bartizan"))


@pytest.fixture(scope="session")
def scan(tmp_path_factory):
    """Runs `bartizan scan` outside any environment: exit code, standard output, standard error."""
    nowhere = tmp_path_factory.mktemp("nowhere")

    def run(*args, timeout=120):
        done = subprocess.run([BINARY, "-e", nowhere, "scan", *map(str, args)], capture_output=True, timeout=timeout, cwd=nowhere)
        return done.returncode, done.stdout, done.stderr.decode()

    return run


@pytest.fixture(scope="session")
def report(scan):
    def run(*args):
        code, out, _ = scan(*args, "--format", "json")
        return code, json.loads(out)

    return run


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    assert vectors.main(folder) > 100
    return folder
