"""Keeps the libraries' start-up chatter off the user's terminal; imported before TensorFlow is.

TensorFlow logs its build and the missing GPU libraries, TF-Agents imports the unmaintained `gym`, which prints a
notice. What fails still raises. TF_CPP_MIN_LOG_LEVEL, where the user sets it, is left as it is. Imports nothing that
takes long: until it is done a Ctrl-C ends in a traceback.
"""

import os
import sys
import types
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# gym prints `gym_notices.notices.notices[version]` at import: give it an empty table.
_notices = types.ModuleType("gym_notices.notices")
_notices.notices = {}  # type: ignore[attr-defined]
# TensorFlow looks for Google's cloud libraries, which warn of each Python that they will give up one day.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
sys.modules.setdefault("gym_notices.notices", _notices)
