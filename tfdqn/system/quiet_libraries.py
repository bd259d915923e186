"""Silences what the libraries print when they are imported. To be imported before TensorFlow.

TensorFlow logs its build and missing GPU libraries; TF-Agents imports the unmaintained `gym`, which prints a notice.
Errors are still raised. A TF_CPP_MIN_LOG_LEVEL that the user has set is kept. Imports only what Python itself has
imported already: until the command line handles signals, a Ctrl-C would end in a traceback.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# gym prints `gym_notices.notices.notices[version]` at import: give it an empty table.
_notices = type(sys)("gym_notices.notices")
_notices.notices = {}  # type: ignore[attr-defined]
sys.modules.setdefault("gym_notices.notices", _notices)


def ignore_warnings_of_libraries() -> None:
    """Ignores warnings of what TensorFlow and TF-Agents import, which are about others' code.

    Google's cloud libraries warn of old versions of Python, and Python of TF-Agents' syntax whenever it compiles it.
    """
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    warnings.filterwarnings("ignore", category=SyntaxWarning, module=r".*/tf_agents/")
