"""`tfdqn`, and `python -m tfdqn`: the command line, also as a container's process 1."""

import sys

from tfdqn.first_process import work_below_process_1
from tfdqn.utf8 import begin_in_utf8


def main() -> int:
    """Runs one command; returns its exit status."""
    begin_in_utf8()
    work_below_process_1()
    from tfdqn.cli import main as run_command  # a signal may come while it is imported

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
