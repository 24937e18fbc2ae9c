"""A guarded server for each model, started once."""

import pathlib

import pytest

import house


@pytest.fixture(scope="session")
def houses(tmp_path_factory):
    """A guarded and an open server of every example that is attacked, by name."""
    made = {}

    def get(example, mode):
        key = (example, mode)
        if key not in made:
            folder = pathlib.Path(tmp_path_factory.mktemp(f"{example}-{mode}"))
            made[key] = house.House(folder / "environment", example, mode)
        return made[key]

    yield get
    for one in made.values():
        one.stop()
