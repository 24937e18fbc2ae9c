"""Fixtures: those of the interoperability tests, in an environment with KServe's own clients."""

import pathlib
import sys

import numpy
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))

from house import House  # noqa: E402

MODEL = "cancer-logistic"


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("house") / "env") as house:
        yield house


@pytest.fixture(scope="session")
def heldout():
    """Rows that the model answers."""
    rows = numpy.random.default_rng(7).uniform(0.1, 1.0, (8, 30)).astype(numpy.float32)
    return lambda _: rows
