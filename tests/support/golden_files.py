"""The golden files of another library's results, as arrays by name."""

from functools import cache
from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).with_name("golden")


@cache
def golden(case: str) -> dict[str, np.ndarray]:
    """The arrays of one case of `golden/make_rlax_losses.py`."""
    with np.load(_FOLDER / "rlax_losses.npz") as arrays:
        return {name.partition("/")[2]: arrays[name] for name in arrays.files if name.startswith(f"{case}/")}
