"""The heavier half of the engine's tests: every model kind at its usual size, and ONNX's own node
tests. Needs `cargo` on the path; the ordinary Rust tests need none of this.

    python -m venv VENV && VENV/bin/pip install -r tests/engine/requirements.txt
    VENV/bin/python -m pytest tests/engine
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Node tests of the pinned `onnx` that are run and agree; fewer means that one was lost.
NODE_TESTS_MIN = 833


def make(script, *arguments):
    subprocess.run([sys.executable, "-W", "ignore", str(HERE / script), *arguments], check=True, cwd=HERE)


def cargo(*arguments, **environment):
    return subprocess.run(
        ["cargo", *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("engine")


def test_every_kind_at_its_usual_size_answers_like_the_libraries(folder):
    make("zoo.py", "full", str(folder / "full"))
    zoo = str(folder / "full")
    run = cargo("test", "-p", "bartizan-engine", "--test", "zoo", "compare", BARTIZAN_ENGINE_ZOO=zoo)
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


def test_the_node_tests_of_onnx_pass_or_are_refused_by_name(folder):
    make("backend.py", str(folder / "backend"))
    run = cargo("run", "-q", "-p", "bartizan-engine", "--example", "backend", str(folder / "backend"))
    last = run.stdout.strip().splitlines()[-1]
    passed, wrong, failed, _ = (int(number) for number in re.findall(r"\d+", last))
    assert (wrong, failed) == (0, 0), run.stdout[-4000:]
    assert NODE_TESTS_MIN <= passed, last


def test_the_committed_kinds_are_those_that_the_script_names():
    import kinds

    committed = {path.stem for path in (ROOT / "crates/engine/tests/zoo/data").glob("*.onnx")}
    assert committed == set(kinds.KINDS)
