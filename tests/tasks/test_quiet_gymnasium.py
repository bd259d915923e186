"""What environments' libraries say stays off the terminal, and what users say does not."""

import signal
import threading
import warnings

import gymnasium

from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium


def test_gymnasiums_notices_are_kept_back_and_the_users_own_warnings_are_not(recwarn):
    with quiet_gymnasium():
        gymnasium.logger.warn("of no use to a user")
        warnings.warn("from the user's environment", stacklevel=1)
    gymnasium.logger.warn("after")
    assert len(recwarn) == 2
    assert str(recwarn[0].message).startswith("from") and "after" in str(recwarn[1].message)


def test_threads_that_are_quiet_at_the_same_time_leave_the_level_as_it_was() -> None:
    before, first_is_in, second_is_in = gymnasium.logger.min_level, threading.Event(), threading.Event()

    def first() -> None:
        with quiet_gymnasium():
            first_is_in.set()
            second_is_in.wait(0.5)  # it comes only when this one has gone

    def second() -> None:
        first_is_in.wait(60)
        with quiet_gymnasium():
            second_is_in.set()
            threads[0].join(0.5)

    threads = [threading.Thread(target=each) for each in (first, second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert gymnasium.logger.min_level == before


def test_a_library_that_takes_signals_for_itself_loses_them_again() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with quiet_gymnasium():
        for number in numbers:
            signal.signal(number, lambda *_: None)
    assert [signal.getsignal(number) for number in numbers] == before
