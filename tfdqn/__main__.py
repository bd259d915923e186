"""`tfdqn`, and `python -m tfdqn`: the command line."""

import signal
import sys


def main() -> int:
    """Runs one command; returns its exit status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is begun that a Ctrl-C could spoil
    from tfdqn.system.utf8 import begin_in_utf8

    begin_in_utf8()
    from tfdqn.cli.main import main as run_command

    try:
        signal.signal(signal.SIGINT, before)
        return run_command()
    except KeyboardInterrupt:
        return 130  # before the command took its signals itself


if __name__ == "__main__":
    sys.exit(main())
