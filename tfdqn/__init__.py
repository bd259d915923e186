"""tfdqn: parallel deep Q-networks with TensorFlow's own distributed runtime.

The public names are imported when first used, so that `import tfdqn` costs no TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfdqn import _quiet as _quiet  # before anything imports TensorFlow

if TYPE_CHECKING:
    from tfdqn.config import Config as Config
    from tfdqn.config_file import load as load_config
    from tfdqn.evaluation_command import evaluate as evaluate
    from tfdqn.experiment import train as train
    from tfdqn.exporting import export_run as export
    from tfdqn.exporting import load_policy as load_policy

__version__ = "0.1.0"

_PUBLIC = {
    "Config": ("tfdqn.config", "Config"),
    "evaluate": ("tfdqn.evaluation_command", "evaluate"),
    "export": ("tfdqn.exporting", "export_run"),
    "load_config": ("tfdqn.config_file", "load"),
    "load_policy": ("tfdqn.exporting", "load_policy"),
    "train": ("tfdqn.experiment", "train"),
}
__all__ = ["Config", "evaluate", "export", "load_config", "load_policy", "train"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfdqn' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
