"""`tfdqn`, and `python -m tfdqn`: the command line."""

# The built-in module beneath `signal`. That imports much, and until we handle signals a Ctrl-C ends in a traceback.
import _signal  # type: ignore[import-not-found]
import os
import sys

from tfdqn.system.exits import call_last


def run() -> None:
    """Runs one command; ends the process, after threads and exit handlers, without finalizing the interpreter.

    Finalizing would take TensorFlow apart module by module, which costs seconds, while gRPC's threads still run.
    """
    statuses: list[int] = []
    call_last(lambda: _end(statuses))
    try:
        statuses.append(main())
    except SystemExit as end:
        statuses.append(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    sys.exit(statuses[0])


def _end(statuses: list[int]) -> None:
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before Python started
        stream.flush()  # if that fails, the interpreter reports it and ends as usual
    os._exit(statuses[0] if statuses else 1)


def main() -> int:
    """Runs one command; returns its exit status."""
    before = _signal.getsignal(_signal.SIGINT)
    is_pythons = before is _signal.default_int_handler
    if is_pythons:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # nothing has begun that a Ctrl-C could damage
    from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
    from tfdqn.system.quick_start import quicken_start
    from tfdqn.system.utf8 import begin_in_utf8

    begin_in_utf8()
    quicken_start()
    ignore_warnings_of_libraries()
    from tfdqn.cli.main import main as run_command
    from tfdqn.system.signals import interrupt

    try:
        if is_pythons:
            _signal.signal(_signal.SIGINT, interrupt)
        return run_command()
    except KeyboardInterrupt:
        return 130  # it came before the command handled signals itself
    finally:
        _signal.signal(_signal.SIGINT, before)


if __name__ == "__main__":
    run()
