"""Shortens the start of a command: what TensorFlow and TF-Agents import for others waits until it is used.

A deferred module is found and created as usual, but its code runs only when an attribute is asked for that the module
does not have yet. Nothing else changes for code that imports it.
"""

import gc
import sys
import threading
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

TYPE_CHECKING = False  # importing `typing` would take as long as this module
if TYPE_CHECKING:
    from importlib.abc import Loader

# TensorFlow and Keras import these if they are installed: for data frames, changed images, and Google's cloud.
_UNUSED = {"pandas", "scipy.linalg", "scipy.ndimage", "googleapiclient.discovery"}
# The `__init__` files of its packages import all agents, bandits and environments. A module that is imported by its own
# name does without them.
_PACKAGES_OF = "tf_agents"
_NEW_OBJECTS = 50_000  # 700 by default: during imports, looking for garbage takes a fifth of the time and finds none
_USUAL = gc.get_threshold()


def quicken_start() -> None:
    """Defers these modules from now on; makes Python look for reference cycles less often, until `end_start`."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


def end_start() -> None:
    """Makes Python look for reference cycles as often as usual again.

    From here on they may hold much memory: an environment that makes a large world anew for each episode, say, which
    refers to itself. Thresholds that are not `quicken_start`'s are left alone.
    """
    if gc.get_threshold()[0] == _NEW_OBJECTS:
        gc.set_threshold(*_USUAL)


class _Finder:
    """Finds the modules that are deferred; a finder of `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _UNUSED and name.partition(".")[0] != _PACKAGES_OF:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader and (name in _UNUSED or spec.submodule_search_locations is not None):
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads a module by `loader`, but runs its code only when an attribute is first missing."""

    def __init__(self, loader: "Loader"):
        self._loader, self._lock, self._is_running = loader, threading.RLock(), False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__
        module.__loader__ = module.__spec__.loader = self._loader
        module.__getattr__ = partial(self._missing, module)  # type: ignore[method-assign]
        if module.__name__ in _UNUSED:
            module.__dict__.pop("__path__", None)  # an import of a submodule asks for it, and so runs the code first

    def _missing(self, module: ModuleType, name: str) -> object:
        submodule = f"{module.__name__}.{name}"
        if "__path__" in module.__dict__ and PathFinder.find_spec(submodule, module.__path__):
            return import_module(submodule)
        with self._lock:  # other threads wait until the code has run
            mine = module.__dict__.get("__getattr__")
            if self._is_running:
                raise AttributeError(f"partially initialized module {module.__name__!r} has no attribute {name!r}")
            if isinstance(mine, partial) and mine.func == self._missing:
                self._run(module)
                if module.__dict__.get("__getattr__") is mine:
                    del module.__getattr__
        return getattr(module, name)

    def _run(self, module: ModuleType) -> None:
        assert module.__spec__
        if module.__spec__.submodule_search_locations is not None:
            module.__path__ = module.__spec__.submodule_search_locations
        self._is_running = True
        try:
            self._loader.exec_module(module)
        finally:
            self._is_running = False
