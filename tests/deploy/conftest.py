"""What the tests of the network gate share: the binary, the shared cases, rendered examples."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "aks"
RENDERED = ["private", "public", "v1", "standalone"]
SERVING = ["private", "public", "standalone"]


def run(*args, stdin=None):
    """Runs `bartizan aks`; returns exit status, stdout and stderr."""
    default = ROOT / "target" / "debug" / "bartizan"
    binary = os.environ.get("BARTIZAN_BIN", str(default))
    done = subprocess.run(
        [binary, "aks", *map(str, args)], input=stdin, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session")
def shared():
    """The folder with cases and schemas; its absence is a skip, in CI a failure."""
    folder = pathlib.Path(os.environ.get("BARTIZAN_SHARED", ROOT / ".." / "shared"))
    folder = folder / "deploy-cases"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} is missing: set BARTIZAN_SHARED")
        pytest.skip(f"{folder} is missing: set BARTIZAN_SHARED")
    return folder


@pytest.fixture(scope="session")
def cases(shared):
    return json.loads((shared / "public-cases.json").read_text())["cases"]


def render(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp(name)
    status, _, talk = run("render", EXAMPLES / f"{name}.toml", "--out", folder)
    assert status == 0, talk
    return folder


@pytest.fixture(scope="session", params=RENDERED)
def rendered(request, tmp_path_factory):
    """Each example, rendered."""
    return render(request.param, tmp_path_factory)


@pytest.fixture(scope="session", params=SERVING)
def manifests(request, tmp_path_factory):
    """The Kubernetes manifests of each example that serves."""
    return render(request.param, tmp_path_factory) / "k8s"
