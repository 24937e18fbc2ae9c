"""Fixtures: one house for the tests that only ask, and the rows that no model was trained on."""

import numpy
import pyarrow.parquet
import pytest

from house import EXAMPLES, MODELS, House


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """All four examples, served over TLS, for tests that leave no mark on it."""
    folder = tmp_path_factory.mktemp("house") / "env"
    with House(folder, models=MODELS) as house:
        yield house


@pytest.fixture(scope="session")
def heldout():
    """Rows of an example as floats, missing cells NaN."""

    def rows(model):
        table = pyarrow.parquet.read_table(EXAMPLES / model / "heldout.parquet")
        names = [name for name in table.column_names if name != "target"]
        columns = [table[name].to_numpy(zero_copy_only=False) for name in names]
        return numpy.stack(columns, axis=1).astype(numpy.float32)

    return rows
