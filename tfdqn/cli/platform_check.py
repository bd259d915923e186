"""Whether tfdqn can run here at all, asked before TensorFlow or Reverb would fail in their own words."""

import platform
import sys

from tfdqn.errors import PlatformError


def require_supported_platform() -> None:
    """Raises PlatformError, in one sentence, where TensorFlow 2.15 or Reverb can't be installed."""
    here = f"{platform.system()} {platform.machine()} with Python {platform.python_version()}"
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info[:2] != (3, 11):
        raise PlatformError(
            f"this needs Linux on x86-64 and Python 3.11, which Reverb is built for, not {here}"
        )
