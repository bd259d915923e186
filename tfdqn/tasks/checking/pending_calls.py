"""`PendingCall`: the call to an environment in which a thread is, for a check whose environment doesn't return."""

from typing import Self

from msgspec import Struct

from tfdqn.system.code_places import Frames, called_by_tfdqn, innermost, stack_of
from tfdqn.tasks.checked_env import CheckedEnv
from tfdqn.tasks.suites.gymnasium_envs import make_single

_METHODS = ("reset", "step", "render", "close")  # others are called while an environment is made


class PendingCall(Struct, frozen=True):
    """A call that has not returned yet."""

    environment: str = ""  # and its step, such as "environment 0, step 49"; "": which one is unknown
    call: str = "a call"  # such as "step()"
    place: str = ""  # the innermost line of the environment's code that it has come to, if any is known

    @classmethod
    def of_thread(cls, thread: int) -> Self:
        """The call in which the thread of that `ident` is now."""
        stack = stack_of(thread)
        frames = called_by_tfdqn(stack)
        if len(frames) < 2:
            return cls()
        caller, *called = frames
        method, env = called[0][0].f_code.co_name, caller[0].f_locals.get("self")
        return cls(
            environment=env.where if isinstance(env, CheckedEnv) else _being_made(stack),
            call=f"{method}()" if method in _METHODS else "the call that makes an environment",
            place=str(innermost(called) or ""),
        )

    def is_of(self, other: Self) -> bool:
        """Whether this is the call that `other` is, perhaps at another line by now."""
        return (self.environment, self.call) == (other.environment, other.call)

    def line(self, where: str, seconds: float) -> str:
        """The call in words, and for how long it has lasted; `where` says where it is if no environment is known."""
        place = f" ({self.place})" if self.place else ""
        return f"{self.environment or where}: {self.call} has not returned for {seconds:.0f} s{place}"


def _being_made(stack: Frames) -> str:
    """The environment that is being made, in words; "" if which one is unknown."""
    index = next((frame.f_locals["index"] for frame, _ in stack if frame.f_code is make_single.__code__), None)
    return "" if index is None else f"environment {index}"
