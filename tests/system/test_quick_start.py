"""What waits is imported when it is used, as if nothing had been deferred."""

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from tfdqn.system import quick_start
from tfdqn.system.quick_start import quicken_start

WRITES = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').open('a').write('.')\n"
IMPORTER = "import gc\nimport whole\nfrom plain import part\nTHRESHOLDS = gc.get_threshold()\nMADE = []\n"


@pytest.fixture(autouse=True)
def deferring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """`importer` gets stand-ins for `whole` and `plain.part`; the packages of `parts` wait. All are in `tmp_path`."""
    files = {
        "importer.py": IMPORTER,
        "whole/__init__.py": WRITES + "from whole.inner import VALUE\nLATER = 4\n",
        "whole/inner.py": "VALUE = 3\n",
        "whole/apart.py": "VALUE = 5\n",
        "plain/__init__.py": "",
        "plain/part.py": "VALUE = 6\n",
        "parts/__init__.py": WRITES + "from parts import unused\nfrom parts.deep import Thing\n__all__ = ['Thing']\n",
        "parts/unused.py": WRITES,
        "parts/deep/__init__.py": WRITES + "from parts.deep.thing import Thing\n",
        "parts/deep/thing.py": "class Thing: pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(quick_start, "_IMPORTERS", ("importer",))
    monkeypatch.setattr(quick_start, "_UNUSED", ("whole", "plain.part"))
    monkeypatch.setattr(quick_start, "_PACKAGES_OF", "parts")
    monkeypatch.syspath_prepend(tmp_path)
    finders, thresholds = list(sys.meta_path), gc.get_threshold()
    gc.set_threshold(900, 7, 7)  # a program's own
    quicken_start()
    yield
    sys.meta_path[:] = finders
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    for name in [each for each in sys.modules if each.partition(".")[0] in ("importer", "whole", "plain", "parts")]:
        del sys.modules[name]


def ran(tmp_path: Path) -> dict[str, int]:
    """How often the code of each module has run that writes it down."""
    return {str(each.relative_to(tmp_path)): len(each.read_text()) for each in tmp_path.rglob("*.ran")}


def stand_in() -> ModuleType:
    """The importer's, for `whole`."""
    found = import_module("importer").whole
    assert isinstance(found, ModuleType)
    return found


def test_a_stand_in_imports_its_module_once_when_an_attribute_is_first_used(tmp_path: Path) -> None:
    whole = stand_in()
    assert whole.__file__ == str(tmp_path / "whole/__init__.py")
    assert ran(tmp_path) == {}
    assert (whole.LATER, whole.VALUE, whole.__path__) == (4, 3, [str(tmp_path / "whole")])
    with pytest.raises(AttributeError, match="module 'whole' has no attribute 'missing'"):
        _ = whole.missing
    assert ran(tmp_path) == {"whole/__init__.ran": 1}


def test_what_the_importer_uses_at_once_is_there(tmp_path: Path) -> None:
    code = "import sys\nimport whole.apart\nIS_READY = 'LATER' in vars(sys.modules['whole'])\nfrom whole import LATER\n"
    (tmp_path / "importer.py").write_text(code + "VALUE = whole.apart.VALUE\n")
    importer = import_module("importer")
    assert (importer.IS_READY, importer.LATER, importer.VALUE) == (True, 4, 5)
    assert ran(tmp_path) == {"whole/__init__.ran": 1}


@pytest.mark.parametrize("code", ["import whole.inner\n", "from whole.inner import VALUE\nimport whole\n"])
def test_a_submodule_of_a_stand_in_is_imported_once(tmp_path: Path, code: str) -> None:
    (tmp_path / "whole/inner.py").write_text(WRITES + "VALUE = object()\n")
    (tmp_path / "importer.py").write_text(code)
    whole = stand_in()
    inner = import_module("whole.inner")
    assert whole.VALUE is whole.inner.VALUE is inner.VALUE
    assert inner.__spec__ and inner.__spec__.loader is inner.__loader__
    assert ran(tmp_path) == {"whole/__init__.ran": 1, "whole/inner.ran": 1}


def test_all_other_code_gets_the_modules_themselves(tmp_path: Path) -> None:
    importer = import_module("importer")
    namespace: dict[str, object] = {}
    exec("import whole\nfrom plain import part", namespace)
    assert namespace["whole"] is sys.modules["whole"] is not importer.whole
    assert namespace["part"] is sys.modules["plain.part"] is not importer.part
    assert "LATER" in dir(namespace["whole"])
    assert importer.whole.LATER == 4
    assert ran(tmp_path) == {"whole/__init__.ran": 1}


def test_a_module_that_was_imported_before_stays(tmp_path: Path) -> None:
    before = import_module("whole")
    assert stand_in() is before
    assert sys.modules["whole"] is before


def test_python_looks_for_cycles_as_usual_after_the_importer() -> None:
    before = gc.get_threshold()
    assert (50_000, *before[1:]) == import_module("importer").THRESHOLDS
    assert gc.get_threshold() == before


def test_python_looks_through_nothing_that_the_importer_made() -> None:
    made = import_module("importer").MADE
    assert not any(each is made for each in gc.get_objects())
    gc.unfreeze()
    assert any(each is made for each in gc.get_objects())


def test_an_importer_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "importer.py").write_text(IMPORTER + "import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_module("importer")
    assert gc.get_threshold() == (900, 7, 7)
    assert "LATER" in dir(import_module("whole"))


def test_a_module_of_packages_needs_none_of_their_code(tmp_path: Path) -> None:
    namespace: dict[str, object] = {}
    exec("from parts.deep import thing\nimport parts.deep.thing", namespace)
    assert ran(tmp_path) == {}
    exec("from parts.deep import Thing", namespace)
    assert ran(tmp_path) == {"parts/deep/__init__.ran": 1}
    exec("from parts import *", namespace)
    assert ran(tmp_path) == {"parts/deep/__init__.ran": 1, "parts/__init__.ran": 1, "parts/unused.ran": 1}
    assert namespace["Thing"] is import_module("parts.deep.thing").Thing
    with pytest.raises(AttributeError, match="module 'parts' has no attribute 'missing'"):
        _ = import_module("parts").missing
    assert ran(tmp_path)["parts/__init__.ran"] == 1


def test_each_submodule_is_an_attribute_even_after_the_code_has_run(tmp_path: Path) -> None:
    (tmp_path / "parts/deep/other.py").write_text("VALUE = 7\n")
    deep = import_module("parts.deep")
    assert deep.Thing is deep.thing.Thing
    assert deep.other.VALUE == 7


@pytest.mark.parametrize("name", ["importer", "parts"])
def test_a_spec_tells_of_its_source(tmp_path: Path, name: str) -> None:
    spec = find_spec(name)
    assert spec and spec.loader
    assert spec.loader.get_source(name) == Path(spec.origin or "").read_text()
    assert ran(tmp_path) == {}


def deferred(name: str) -> ModuleType:
    return stand_in() if name == "whole" else import_module(name)


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_what_fails_is_raised_where_it_is_used_each_time(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "__init__.py").write_text(WRITES + "import no_such_module\n")
    module = deferred(name)
    for times in (1, 2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            _ = module.LATER
        assert ran(tmp_path) == {f"{name}/__init__.ran": times}


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_a_name_that_the_code_asks_for_too_early_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "__init__.py").write_text(f"import {name}\nEARLY = hasattr({name}, 'LATER')\nLATER = 4\n")
    assert deferred(name).EARLY is False


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_threads_wait_until_the_code_has_run(tmp_path: Path, name: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    (tmp_path / name / "__init__.py").write_text(
        "import events\nevents.begun.set(); events.go_on.wait(30)\nLATER = 4\n"
    )
    events = type(sys)("events")
    events.begun, events.go_on = begun, go_on  # type: ignore[attr-defined]
    module, got = deferred(name), []
    sys.modules["events"] = events
    try:
        threads = [threading.Thread(target=lambda: got.append(module.LATER), daemon=True) for _ in range(2)]
        threads[0].start()
        assert begun.wait(30)
        threads[1].start()
        threads[1].join(0.1)
        assert got == []
        go_on.set()
        for each in threads:
            each.join(30)
    finally:
        del sys.modules["events"]
    assert got == [4, 4]


def test_training_imports_what_it_uses_and_the_rest_is_there_when_used() -> None:
    code = """if True:
        import sys
        from tfdqn.system.quick_start import quicken_start
        quicken_start()
        import tfdqn.training.train
        assert not [name for name in sys.modules if name.startswith(("tf_agents.bandits", "pandas.", "scipy.ndimage"))]
        from tf_agents.agents import DqnAgent
        from tf_agents.agents.dqn.dqn_agent import DqnAgent as the_same
        assert DqnAgent is the_same
        from scipy.linalg import inv
        assert inv([[4.0]]) == 0.25
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
