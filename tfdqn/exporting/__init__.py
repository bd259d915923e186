"""The way out to serving: a versioned SavedModel that needs TensorFlow alone, and `load_policy` to call it.

The names are imported when first used: the formats are known without TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfdqn.exporting.from_run import export_run as export_run
    from tfdqn.exporting.loaded_policy import LoadedPolicy as LoadedPolicy
    from tfdqn.exporting.loaded_policy import load_policy as load_policy
    from tfdqn.exporting.saved_model import export_policy as export_policy

_PUBLIC = {
    "LoadedPolicy": "loaded_policy",
    "export_policy": "saved_model",
    "export_run": "from_run",
    "load_policy": "loaded_policy",
}
__all__ = ["LoadedPolicy", "export_policy", "export_run", "load_policy"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfdqn.exporting' has no attribute {name!r}")
    return getattr(import_module(f"tfdqn.exporting.{_PUBLIC[name]}"), name)
