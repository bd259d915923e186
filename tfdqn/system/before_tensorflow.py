"""Settings of TensorFlow, and silence of the libraries that it brings. To be imported before TensorFlow.

TensorFlow logs its build and missing GPU libraries; TF-Agents imports the unmaintained `gym`, which prints a notice;
gRPC logs that a process is started while a call is under way.
Errors are still raised. Variables that the user has set are kept. Imports only what Python itself has imported
already: until the command line handles signals, a Ctrl-C would end in a traceback.
"""

import os
import sys

TYPE_CHECKING = False  # type checkers take it for typing's
if TYPE_CHECKING:
    import logging

# Otherwise the first process that uses a GPU takes all of its memory, and `evaluate` or `serve` fails while a run
# trains. `tf.config.experimental.set_memory_growth` has no effect in TensorFlow's servers or in child processes.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Of use only to a fork that goes on with its parent's connections. Ours have none, or run another program at once.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# gym prints `gym_notices.notices.notices[version]` at import: give it an empty table.
_notices = type(sys)("gym_notices.notices")
_notices.notices = {}  # type: ignore[attr-defined]
sys.modules.setdefault("gym_notices.notices", _notices)


def use_onednn() -> None:
    """Has TensorFlow compute by oneDNN, unless the user says otherwise or TensorFlow has been imported.

    TensorFlow does so of its own accord only on CPUs with AVX-512 VNNI. On others, convolutions gain much by it and
    small dense layers lose a little (docs/performance.md). An empty variable says nothing, to TensorFlow either.
    """
    if "tensorflow" not in sys.modules and not os.environ.get("TF_ENABLE_ONEDNN_OPTS"):
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"


def ignore_warnings_of_libraries() -> None:
    """Ignores warnings that tell the user nothing: of TensorFlow, and of what it and TF-Agents import.

    Google's cloud libraries warn of old versions of Python, and Python of TF-Agents' syntax whenever it compiles it.
    TensorFlow takes the functions of a process's several runs for one that is traced again and again.
    """
    import logging
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    warnings.filterwarnings("ignore", category=SyntaxWarning, module=r".*/tf_agents/")
    logging.getLogger("tensorflow").addFilter(_is_relevant)


def _is_relevant(record: "logging.LogRecord") -> bool:
    return "triggered tf.function retracing" not in str(record.msg)
