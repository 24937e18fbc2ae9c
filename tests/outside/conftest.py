"""What the areas of tests share lies beside them: a house that is made, served, stopped, killed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
