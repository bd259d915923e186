"""Shortens the start of a command: what TensorFlow and TF-Agents import for others waits until it is used.

Instead of a module that is deferred there is a stand-in, which imports it when an attribute is first used. Of deferred
packages only the code of `__init__` waits. Nothing else changes for code that imports them.
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

_imported: set[str] = set()  # those of the unused that were used after all
_replacing = threading.Lock()


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


def defer_no_longer() -> None:
    """From now on unused modules are imported as usual: for the user's code, which may look at them or change them."""
    with _replacing:
        _imported.update(_UNUSED)
        for name in _UNUSED:
            module = sys.modules.get(name)
            waits = vars(module).get("__getattr__") if module else None
            if isinstance(waits, partial) and waits.func is _attribute:
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                vars(sys.modules.get(parent, module)).pop(child, None)


class _Finder:
    """Finds the modules that are deferred; a finder of `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        is_unused = name in _UNUSED and name not in _imported
        if not is_unused and name.partition(".")[0] != _PACKAGES_OF:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader and is_unused:
            spec.loader = _StandInLoader(spec.loader)  # type: ignore[assignment]
        elif spec and spec.loader and spec.submodule_search_locations is not None:
            spec.loader = _PackageLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _StandInLoader:
    """Makes a stand-in for the module of `loader`."""

    def __init__(self, loader: "Loader"):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> None:
        return None  # the usual kind

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__
        module.__loader__ = module.__spec__.loader = self._loader
        module.__dict__.pop("__path__", None)  # an import of a submodule asks for it, and so imports the module
        module.__getattr__ = partial(_attribute, module)  # type: ignore[method-assign]


def _attribute(stand_in: ModuleType, name: str) -> object:
    """An attribute of the module itself. Python's own locks apply to its import, which threads may need at once."""
    with _replacing:
        _imported.add(stand_in.__name__)
        if sys.modules.get(stand_in.__name__) is stand_in:
            del sys.modules[stand_in.__name__]
    return getattr(import_module(stand_in.__name__), name)


class _PackageLoader:
    """Loads a package by `loader`, but runs its code only when an attribute is missing that is no submodule."""

    def __init__(self, loader: "Loader"):
        self._loader, self._lock, self._is_running = loader, threading.RLock(), False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__
        module.__loader__ = module.__spec__.loader = self._loader
        module.__getattr__ = partial(self._missing, module)  # type: ignore[method-assign]

    def _missing(self, module: ModuleType, name: str) -> object:
        submodule = f"{module.__name__}.{name}"
        if PathFinder.find_spec(submodule, module.__path__):
            return import_module(submodule)
        with self._lock:  # other threads wait until the code has run
            if self._is_running:
                raise AttributeError(f"partially initialized module {module.__name__!r} has no attribute {name!r}")
            if "__getattr__" in module.__dict__:
                self._run(module)
        return getattr(module, name)

    def _run(self, module: ModuleType) -> None:
        self._is_running = True
        try:
            self._loader.exec_module(module)
            del module.__getattr__
        finally:
            self._is_running = False
