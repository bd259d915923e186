"""tfdqn: parallel deep Q-networks with TensorFlow's own distributed runtime.

The public names are imported when they are first used, so that `import tfdqn` does not import TensorFlow.
"""

from tfdqn.system import before_tensorflow as before_tensorflow  # before anything imports TensorFlow

# Nothing else is imported here, `typing` included: until `__main__` handles signals, a Ctrl-C ends in a traceback.
TYPE_CHECKING = False  # type checkers take it for typing's
if TYPE_CHECKING:
    from tfdqn.config import (
        C51,
        DQN,
        IQN,
        MLP,
        PQN,
        QRDQN,
        SGD,
        Acting,
        Adam,
        Boltzmann,
        Checkpoint,
        Config,
        DoubleDQN,
        Ensemble,
        EpsilonGreedy,
        Evaluation,
        Export,
        Health,
        Impala,
        Learner,
        Linear,
        Logging,
        Munchausen,
        NatureCNN,
        Priorities,
        RAdam,
        Replay,
        RMSprop,
        SmallCNN,
        Stop,
        Task,
        Tracking,
    )
    from tfdqn.config.toml import dump as dump_config
    from tfdqn.config.toml import load as load_config
    from tfdqn.errors import UserError
    from tfdqn.evaluation.evaluate import evaluate
    from tfdqn.exporting.from_run import export_run as export
    from tfdqn.exporting.loaded_policy import load_policy
    from tfdqn.training.call import train

# fmt: off
__all__ = [
    "C51", "DQN", "IQN", "MLP", "PQN", "QRDQN", "SGD", "Acting", "Adam", "Boltzmann", "Checkpoint", "Config",
    "DoubleDQN", "Ensemble", "EpsilonGreedy", "Evaluation", "Export", "Health", "Impala", "Learner", "Linear",
    "Logging", "Munchausen", "NatureCNN", "Priorities", "RAdam", "RMSprop", "Replay", "SmallCNN", "Stop", "Task",
    "Tracking", "UserError", "dump_config", "evaluate", "export", "load_config", "load_policy", "train",
]
# fmt: on
_MODULES = {  # of those that are not in tfdqn.config
    "UserError": ("tfdqn.errors", "UserError"),
    "dump_config": ("tfdqn.config.toml", "dump"),
    "evaluate": ("tfdqn.evaluation.evaluate", "evaluate"),
    "export": ("tfdqn.exporting.from_run", "export_run"),
    "load_config": ("tfdqn.config.toml", "load"),
    "load_policy": ("tfdqn.exporting.loaded_policy", "load_policy"),
    "train": ("tfdqn.training.call", "train"),
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("tfdqn")
    if name not in __all__:
        raise AttributeError(f"module 'tfdqn' has no attribute {name!r}")
    from importlib import import_module

    before_tensorflow.ignore_warnings_of_libraries()
    module, attribute = _MODULES.get(name, ("tfdqn.config", name))
    return getattr(import_module(module), attribute)
