"""Process 1, which the system holds to rules of its own: what a container's command has to do besides its work.

Signals that nothing handles don't end it, so that TensorFlow, wherever it keeps Python from running, would keep the
process from ending, too; and whoever is orphaned becomes its child, to be reaped. So the work is done by a child.
"""

import os
import signal

# Raised by what the process itself does wrong.
_OWN_FAULTS = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
}
_KILLED_STATUS = 128  # and the signal's number, as shells have it


def work_below_process_1() -> None:
    """Returns at once, but where this is process 1: then in a child, and the parent ends with the child's status.

    Called before there are threads. What a killed child leaves running, the kernel kills when process 1 has ended.
    """
    if os.getpid() != 1:
        return
    signals = signal.valid_signals() - _OWN_FAULTS
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # none is lost, and none ignored, from now on
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while (status := _status_when_ended(child)) is None:
        # no limit: the child's end is a signal, too
        _pass_on(signal.sigwaitinfo(signals), child)
    os._exit(status if status >= 0 else _KILLED_STATUS - status)


def _status_when_ended(child: int) -> int | None:
    """Reaps whoever has ended; the child's exit status, or minus the signal that ended it. None: it runs."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            return None


def _pass_on(signalled: signal.struct_siginfo, child: int) -> None:
    """What a terminal sends (Ctrl-C, a new size), the kernel sends to the child as well; but a hang-up."""
    is_kernels = signalled.si_code > 0
    if signalled.si_signo != signal.SIGCHLD and (not is_kernels or signalled.si_signo == signal.SIGHUP):
        os.kill(child, signalled.si_signo)  # until it is reaped, its number is its own
