"""Keeps the libraries' start-up chatter off the user's terminal; imported before TensorFlow is.

TensorFlow logs its build and the missing GPU libraries, TF-Agents imports the unmaintained `gym`, which prints a
notice. What fails still raises. TF_CPP_MIN_LOG_LEVEL, where the user sets it, is left as it is. Imports only what
Python has imported itself: until the command line has the signals a Ctrl-C ends in a traceback.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# gym prints `gym_notices.notices.notices[version]` at import: give it an empty table.
_notices = type(sys)("gym_notices.notices")
_notices.notices = {}  # type: ignore[attr-defined]
sys.modules.setdefault("gym_notices.notices", _notices)


def ignore_warnings_of_google() -> None:
    """TensorFlow looks for Google's cloud libraries, which warn of each Python that they will give up one day."""
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
