"""The house is as the design draws it: imports point down, nothing goes in circles, what is light stays light."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import tfdqn

PACKAGE = Path(tfdqn.__file__).parent

# What stands directly in tfdqn/, lowest first: a module imports from its own folder, and from what stands before it.
ORDER = [
    "errors",
    "types",
    "task_spec",
    "task_differences",
    "randomness",
    "records",
    "system",
    "config",
    "storage",
    "cluster",
    "tasks",
    "networks",
    "agents",
    "coordination",
    "replay",
    "acting",
    "evaluation",
    "learning",
    "exporting",
    "tracking",
    "reports",
    "training",
    "serving",
    "roles",
    "launch",
    "tuning",
    "cli",
    "__init__",
    "__main__",
]
# What imports TensorFlow; the rest is imported by every command, before TensorFlow is and where it never is.
ABOVE_TENSORFLOW = {
    *("tasks", "networks", "agents", "replay", "acting", "evaluation", "learning", "exporting", "tracking"),
    *("training", "serving", "roles", "__init__", "__main__"),
}
LIGHT = [name for name in ORDER if name not in ABOVE_TENSORFLOW]

HEAVY = {"tensorflow", "keras", "tf_agents", "reverb", "gymnasium", "gym", "matplotlib"}
ENVIRONMENT_PACKAGES = {"gymnasium", "gym", "ale_py", "minigrid", "Box2D", "mujoco", "pygame", "pettingzoo"}
GRAB_BAGS = {"utils", "util", "common", "helpers", "parts", "misc"}

Imports = dict[str, set[str]]


def module_name(file: Path) -> str:
    """tfdqn/tasks/registry.py → tasks.registry; tfdqn/tasks/__init__.py → tasks; the package → __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts if parts == ("__init__",) or parts[-1] != "__init__" else parts[:-1])


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def imported_names(file: Path) -> set[str]:
    """Every dotted name that a file imports, inside functions and for types alone too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} line {node.lineno}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_of(dotted: str) -> str | None:
    """tfdqn.tasks.registry.make_task → tasks.registry; None for what isn't in tfdqn."""
    first, *rest = dotted.split(".")
    if first != "tfdqn":
        return None
    while rest and ".".join(rest) not in FILES:
        rest.pop()
    return ".".join(rest) or "__init__"


def inside() -> Imports:
    """What each module imports of the package."""
    return {
        name: {module for each in imported_names(file) if (module := module_of(each)) is not None} - {name}
        for name, file in FILES.items()
    }


def outside() -> Imports:
    """The other packages that each module imports."""
    return {name: {each.split(".")[0] for each in imported_names(file)} - {"tfdqn"} for name, file in FILES.items()}


def top(module: str) -> str:
    return module.split(".")[0]


def upward_edges(imports: Imports) -> list[str]:
    return sorted(
        f"{source} imports {target}"
        for source, targets in imports.items()
        for target in targets
        if ORDER.index(top(target)) > ORDER.index(top(source))
    )


def a_circle(imports: Imports) -> list[str]:
    """The modules of one circle of imports, its first one again at the end; empty where there is none."""
    finished: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in finished:
            return []
        for target in sorted(imports.get(module, ())):
            if circle := visit(target, [*way, module]):
                return circle
        finished.add(module)
        return []

    return next((circle for module in sorted(imports) if (circle := visit(module, []))), [])


def between_folders(imports: Imports) -> Imports:
    folders: Imports = {}
    for source, targets in imports.items():
        folders.setdefault(top(source), set()).update({top(target) for target in targets} - {top(source)})
    return folders


def test_every_folder_and_file_has_its_place_in_the_order() -> None:
    assert {top(module) for module in FILES} <= set(ORDER)


def test_imports_point_down() -> None:
    assert upward_edges(inside()) == []


def test_no_imports_go_in_a_circle() -> None:
    assert a_circle(inside()) == []


def test_no_folders_import_one_another() -> None:
    assert a_circle(between_folders(inside())) == []


def test_the_checks_find_what_they_look_for() -> None:
    good = {
        "cli.main": {"errors", "tasks.registry"},
        "tasks.registry": {"errors", "tasks.observations"},
        "errors": set(),
    }
    assert upward_edges(good) == []
    assert a_circle(good) == []
    upward = good | {"tasks.observations": {"cli.main"}}
    assert upward_edges(upward) == ["tasks.observations imports cli.main"]
    assert a_circle(upward) == ["cli.main", "tasks.registry", "tasks.observations", "cli.main"]
    folders = {"tasks.a": {"networks.a"}, "networks.b": {"tasks.b"}}
    assert a_circle(folders) == []
    assert a_circle(between_folders(folders)) == ["networks", "tasks", "networks"]


def test_imports_of_every_form_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(
        "import numpy as np\nfrom tfdqn import config\n"
        "def f():\n    from tfdqn.tasks.registry import make_task\n    import tfdqn.errors\n"
    )
    names = imported_names(file)
    assert names == {"numpy", "tfdqn.config", "tfdqn.tasks.registry.make_task", "tfdqn.errors"}
    assert {module_of(each) for each in names} == {None, "config", "tasks.registry", "errors"}


def test_importing_light_storeys_brings_nothing_heavy() -> None:
    """One after the other in a new process, the lowest first: the first that is not empty is the guilty one."""
    modules = {storey: [f"tfdqn.{name}" for name in FILES if top(name) == storey] for storey in LIGHT}
    probe = (
        f"import importlib, json, sys; found = {{}}\nfor storey, names in {modules}.items():\n"
        f"    list(map(importlib.import_module, names)); found[storey] = sorted({HEAVY} & set(sys.modules))\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=240, check=True, cwd=PACKAGE.parent
    )
    assert json.loads(done.stdout) == {storey: [] for storey in LIGHT}


def test_only_tasks_imports_environment_packages() -> None:
    guilty = {name: found for name, names in outside().items() if (found := names & ENVIRONMENT_PACKAGES)}
    assert {name for name in guilty if top(name) != "tasks"} == set()
    assert guilty


def test_no_file_is_a_grab_bag() -> None:
    assert {name for name in FILES if name.split(".")[-1] in GRAB_BAGS} == set()


def test_every_file_opens_with_what_it_is() -> None:
    silent = [name for name, file in FILES.items() if not ast.get_docstring(ast.parse(file.read_text()))]
    assert silent == []


def test_the_root_holds_only_what_every_storey_speaks_of() -> None:
    assert len([name for name in FILES if "." not in name and FILES[name].parent == PACKAGE]) <= 8


def test_an_init_is_a_docstring_or_hands_out_names() -> None:
    """Code has a file whose name says what it is."""
    hands_out = {"__init__", "config", "exporting"}
    for name, file in FILES.items():
        if file.name == "__init__.py" and name not in hands_out:
            assert len(ast.parse(file.read_text(encoding="utf-8")).body) == 1, name


def test_files_and_functions_stay_short() -> None:
    tests = Path(__file__).parent.rglob("*.py")
    long_files = [
        file for file in (*FILES.values(), *tests) if len(file.read_text(encoding="utf-8").splitlines()) > 300
    ]
    assert long_files == []
    functions = {
        f"{name}.{node.name}"
        for name, file in FILES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 50
    }
    assert functions == set()


# Tests that cross the package, those of documents, and what tests share.
APART = {"container", "docs", "gpu", "support", "system_tests"}


def test_the_tree_of_tests_is_the_tree_of_the_package() -> None:
    tests = Path(__file__).parent
    for file in sorted(tests.rglob("test_*.py")):
        folder, name = file.relative_to(tests).parent, file.stem.removeprefix("test_")
        if folder == Path(".") or folder.parts[0] in APART:
            continue
        modules = [module.stem for module in (PACKAGE / folder).glob("*.py")]
        assert any(name == module or name.startswith(f"{module}_") for module in modules), file


def asks(name: str) -> bool:
    return name.lstrip("_").startswith(("is_", "has_", "may_"))


def test_a_function_whose_name_asks_answers() -> None:
    """`is_`, `has_` and `may_` stand only before what returns a truth."""
    silent = {
        f"{name}.{node.name}"
        for name, file in FILES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and asks(node.name)
        and (node.returns is None or "bool" not in ast.unparse(node.returns))
    }
    assert silent == set()


# They end like participles, but name sections of the configuration, or are nouns.
NOUNS = {"Acting", "Logging", "Tracking", "Finding", "Nothing", "Standing"}
# Layers by how they are divided, and a transition that is finished.
PARTICIPLES = {
    *("networks.layers.sharded._Sharded", "networks.layers.sharded.Replicated"),
    "replay.items.frames._Finished",
}


def test_classes_are_nouns() -> None:
    participles = {
        f"{name}.{node.name}"
        for name, file in FILES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith(("ed", "ing")) and node.name.lstrip("_") not in NOUNS
    }
    assert participles == PARTICIPLES
