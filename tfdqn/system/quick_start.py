"""Shortens the start of a command: what TensorFlow and TF-Agents import for others waits until it is used.

While TensorFlow and Keras are imported, they get stand-ins for modules that tfdqn does not use, which import these when
an attribute is used; afterwards all code gets the modules themselves. Of TF-Agents' packages only the code of
`__init__` waits.
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

_IMPORTERS = ("tensorflow", "tensorflow_probability")  # the first brings Keras, TF-Agents the second
# They import these if they are installed: for data frames, changed images, and Google's cloud.
_UNUSED = ("pandas", "scipy.linalg", "scipy.ndimage", "googleapiclient.discovery")
# The `__init__` files of its packages import all agents, bandits and environments. A module that is imported by its own
# name does without them.
_PACKAGES_OF = "tf_agents"
# 700 by default: during imports, looking for garbage takes a fifth of the time, and 3 % of what they make is garbage.
_NEW_OBJECTS = 50_000

_deferred: set[str] = set()  # of the unused, while an importer is imported
_replacing = threading.Lock()


def quicken_start() -> None:
    """Defers these modules and packages in imports from now on."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    """Finds importers, and what is deferred; a finder of `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.rpartition(".")[0] in _UNUSED and name in sys.modules and target is None:
            # Python asked a stand-in for its path, and the import of its package has brought this submodule.
            return ModuleSpec(name, _ImportedLoader(sys.modules[name]))  # type: ignore[arg-type]
        if name not in _IMPORTERS and name not in _deferred and name.partition(".")[0] != _PACKAGES_OF:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        if name in _IMPORTERS:
            spec.loader = _ImporterLoader(spec.loader)  # type: ignore[assignment]
        elif name in _deferred:
            spec.loader = _StandInLoader(spec.loader)  # type: ignore[assignment]
        elif spec.submodule_search_locations is not None:
            spec.loader = _PackageLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _ImportedLoader:
    """Gives a module that has been imported, whose code must not run again."""

    def __init__(self, module: ModuleType):
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Loader:
    """Does what `loader` does; which code it runs, and when, is for subclasses to say."""

    def __init__(self, loader: "Loader"):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__
        module.__loader__ = module.__spec__.loader = self._loader


class _ImporterLoader(_Loader):
    """Runs an importer's code, which gets stand-ins; what it makes is not garbage, and is not looked through for it."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        thresholds = gc.get_threshold()
        gc.set_threshold(_NEW_OBJECTS, *thresholds[1:])
        _deferred.update(_UNUSED)
        try:
            self._loader.exec_module(module)
        finally:
            gc.freeze()  # it stays until the end
            gc.set_threshold(*thresholds)
            _deferred.clear()
            for name in _UNUSED:
                if (found := sys.modules.get(name)) and _is_stand_in(found):
                    _remove(found)


class _StandInLoader(_Loader):
    """Makes a stand-in."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__dict__.pop("__path__", None)  # an import of a submodule asks for it, and so imports the module
        module.__getattr__ = partial(_attribute, module)  # type: ignore[method-assign]


def _attribute(stand_in: ModuleType, name: str) -> object:
    """An attribute of the module itself. Python's own locks apply to its import, which threads may need at once."""
    _deferred.discard(stand_in.__name__)
    _remove(stand_in)
    return getattr(import_module(stand_in.__name__), name)


def _is_stand_in(module: ModuleType) -> bool:
    missing = vars(module).get("__getattr__")
    return isinstance(missing, partial) and missing.func is _attribute


def _remove(stand_in: ModuleType) -> None:
    """Makes the next import find the module itself."""
    parent, _, child = stand_in.__name__.rpartition(".")
    with _replacing:
        for names, name in ((sys.modules, stand_in.__name__), (vars(sys.modules.get(parent, stand_in)), child)):
            if names.get(name) is stand_in:
                del names[name]


class _PackageLoader(_Loader):
    """Runs a package's code only when an attribute is missing that is no submodule. All submodules are attributes."""

    def __init__(self, loader: "Loader"):
        super().__init__(loader)
        self._lock, self._is_waiting = threading.RLock(), True

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__getattr__ = partial(self._missing, module)  # type: ignore[method-assign]

    def _missing(self, module: ModuleType, name: str) -> object:
        submodule = f"{module.__name__}.{name}"
        if PathFinder.find_spec(submodule, module.__path__):
            return import_module(submodule)
        with self._lock:  # other threads wait until the code has run
            if self._is_waiting:
                self._run(module)
        try:
            return vars(module)[name]
        except KeyError:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None

    def _run(self, module: ModuleType) -> None:
        self._is_waiting = False
        try:
            self._loader.exec_module(module)
        except BaseException:
            self._is_waiting = True
            raise
