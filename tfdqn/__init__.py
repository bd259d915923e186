"""tfdqn: parallel deep Q-networks with TensorFlow's own distributed runtime.

The public names are imported when they are first used, so that `import tfdqn` does not import TensorFlow.
"""

from tfdqn.system import before_tensorflow as before_tensorflow  # before anything imports TensorFlow

# Nothing else is imported here, `typing` included: until `__main__` handles signals, a Ctrl-C ends in a traceback.
TYPE_CHECKING = False  # type checkers take it for typing's
if TYPE_CHECKING:
    from tfdqn.config import Config as Config
    from tfdqn.config.toml import load as load_config
    from tfdqn.errors import UserError as UserError
    from tfdqn.evaluation.evaluate import evaluate as evaluate
    from tfdqn.exporting.from_run import export_run as export
    from tfdqn.exporting.loaded_policy import load_policy as load_policy
    from tfdqn.training.train import train as train

_PUBLIC = {
    "Config": ("tfdqn.config", "Config"),
    "UserError": ("tfdqn.errors", "UserError"),
    "evaluate": ("tfdqn.evaluation.evaluate", "evaluate"),
    "export": ("tfdqn.exporting.from_run", "export_run"),
    "load_config": ("tfdqn.config.toml", "load"),
    "load_policy": ("tfdqn.exporting.loaded_policy", "load_policy"),
    "train": ("tfdqn.training.train", "train"),
}
__all__ = ["Config", "UserError", "evaluate", "export", "load_config", "load_policy", "train"]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("tfdqn")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfdqn' has no attribute {name!r}")
    from importlib import import_module

    before_tensorflow.ignore_warnings_of_libraries()
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
