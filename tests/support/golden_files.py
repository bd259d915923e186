"""The golden files of another library's results, as arrays by name."""

from functools import cache
from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).with_name("golden")


@cache
def golden(case: str, file: str = "rlax_losses") -> dict[str, np.ndarray]:
    """The arrays of one case of `golden/FILE.npz`, which `golden/make_FILE.py` has made."""
    with np.load(_FOLDER / f"{file}.npz") as arrays:
        return {name.partition("/")[2]: arrays[name] for name in arrays.files if name.startswith(f"{case}/")}
