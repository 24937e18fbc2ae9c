"""Where the binary and the public cases are. Missing cases are skipped and counted; with CI=true that is a failure."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("BARTIZAN_SHARED", ROOT.parent / "shared"))
CASES = SHARED / "vet-cases"


def binary():
    named = os.environ.get("BARTIZAN_BIN")
    if named:
        return named
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = [p for p in (target / "release/bartizan", target / "debug/bartizan") if p.exists()]
    if not found:
        pytest.fail("no bartizan binary: build one or set BARTIZAN_BIN")
    return str(max(found, key=lambda p: p.stat().st_mtime))


@pytest.fixture(scope="session")
def cases():
    if not CASES.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CASES} is missing")
        pytest.skip(f"{CASES} is missing")
    return CASES


@pytest.fixture(scope="session")
def run():
    path = binary()

    def go(*args):
        done = subprocess.run([path, "vet", *map(str, args)], capture_output=True, timeout=300)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    return go
