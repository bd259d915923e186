"""Modules of the user's own, named in a configuration as "my_package.my_module:name"."""

import importlib
import os
import sys

from tfdqn.errors import UserError, one_line


def import_user_module(name: str, wanted_by: str, error: type[UserError]) -> None:
    """Imports it from the current directory, or from what is installed; what it registers then has its names.

    Args:
      name: dotted.
      wanted_by: what asks for it; errors begin with it.
      error: raised, in one line, where the module is not there or fails.
    """
    if os.getcwd() not in sys.path:  # as `python -m` has it; a console script does not
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and f"{name}.".startswith(f"{missing.name}."):
            raise error(
                f'{wanted_by}: there is no module "{missing.name}" in {os.getcwd()} or among the installed ones'
            ) from missing
        raise error(f'{wanted_by}: {name} needs "{missing.name}", which is not installed') from missing
    except Exception as failure:
        raise error(f"{wanted_by}: importing {name} failed: {one_line(failure)}") from failure
