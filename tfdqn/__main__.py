"""`tfdqn`, and `python -m tfdqn`: the command line."""

# What `signal` is made of, built into Python: `signal` itself imports much, and until the signals are ours a Ctrl-C
# ends in a traceback.
import _signal  # type: ignore[import-not-found]
import atexit
import os
import sys


def run() -> None:
    """Runs one command and ends the process, when threads and exit handlers have ended, without Python's own end.

    That takes TensorFlow apart module by module: seconds of a core for nothing, with gRPC's threads still at work.
    """
    statuses: list[int] = []
    atexit.register(_end, statuses)  # before all others, and so called after them
    try:
        statuses.append(main())
    except SystemExit as end:
        statuses.append(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    sys.exit(statuses[0])


def _end(statuses: list[int]) -> None:
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed before Python began
        stream.flush()  # where that fails, Python's own end says so
    os._exit(statuses[0] if statuses else 1)


def main() -> int:
    """Runs one command; returns its exit status."""
    before = _signal.getsignal(_signal.SIGINT)
    is_pythons = before is _signal.default_int_handler
    if is_pythons:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # nothing is begun that a Ctrl-C could spoil
    from tfdqn.system.quiet_libraries import ignore_warnings_of_google
    from tfdqn.system.utf8 import begin_in_utf8

    begin_in_utf8()
    ignore_warnings_of_google()
    from tfdqn.cli.main import main as run_command
    from tfdqn.system.signals import interrupt

    try:
        if is_pythons:
            _signal.signal(_signal.SIGINT, interrupt)
        return run_command()
    except KeyboardInterrupt:
        return 130  # before the command took its signals itself
    finally:
        _signal.signal(_signal.SIGINT, before)


if __name__ == "__main__":
    run()
