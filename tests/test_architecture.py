"""The house is as the design draws it: imports point down, nothing goes in circles, layer 0 is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tfdqn

PACKAGE = Path(tfdqn.__file__).parent

# What stands directly in tfdqn/, by layer: a module may import from lower ones, and inside a folder.
LAYERS = {
    0: [
        "_quiet",
        "errors",
        "addresses",
        "first_process",
        "utf8",
        "platform_check",
        "config_types",
        "config_method",
        "config",
        "strategy_checks",
        "config_checks",
        "config_reader",
        "config_file",
        "task_spec",
        "durable",
        "array_checks",
        "owners",
        "locks",
        "run_dir",
        "shard_dir",
        "interruptions",
        "cluster",
        "topology",
        "placement",
        "places",
        "target",
        "model_formats",
        "tf_serving",
        "beat_files",
        "command_signs",
        "cluster_checks",
        "cluster_errors",
    ],
    1: [
        "tasks",
        "networks",
        "agents",
        "eager_tensors",
        "exploration",
        "randomness",
        "threads",
        "watchdog",
        "work_clock",
        "native_log",
        "scores",
        "rpc",
        "lines",
        "ports",
        "stopping",
        "progress",
    ],
    2: [
        "replay",
        "replay_ratio",
        "variables",
        "checkpoints",
        "saved_policy",
        "metrics",
        "evaluation_log",
        "superseded",
        "messages",
        "membership",
        "roster",
        "remote_weights",
        "control",
        "peers",
        "summary",
    ],
    3: ["acting", "learning", "exporting"],
    4: [
        "local_processes",
        "local_cluster",
        "team",
        "session",
        "job_session",
        "watch",
        "loops",
        "report",
        "results",
        "program",
        "gpus",
        "supervised",
        "learner_watch",
        "supervisor",
        "launch",
        "manifests",
        "serving",
    ],
    5: ["roles", "experiment", "evaluation_command", "inspect_command", "health_command"],
    6: [
        "__main__",
        "cli",
        "cli_arguments",
        "cli_errors",
        "cli_jobs",
        "cli_manifest",
        "cli_serving",
        "inspect_view",
        "live_table",
        "terminal",
        "__init__",
    ],
}
# Inside a layer, only these imports are allowed.
SIDEWAYS = {
    "config_method": {"config_types"},
    "config": {"config_method", "config_types"},
    "strategy_checks": {"config"},
    "config_checks": {"config", "strategy_checks"},
    "config_reader": {"config", "config_checks", "errors"},
    "config_file": {"config", "config_reader", "errors"},
    "platform_check": {"errors"},
    "addresses": {"errors"},
    "cluster": {"addresses", "errors"},
    "cluster_errors": {"cluster"},
    "cluster_checks": {"addresses", "cluster", "config", "errors"},
    "durable": {"errors", "owners"},
    "array_checks": {"errors"},
    "locks": {"errors", "owners"},
    "utf8": {"errors"},
    "run_dir": {"config", "config_file", "durable", "errors", "locks", "task_spec", "utf8"},
    "shard_dir": {"config", "config_file", "durable", "errors", "locks", "task_spec"},
    "tasks": {"randomness"},
    "networks": {"eager_tensors"},
    "agents": {"networks", "randomness"},
    "replay": {"checkpoints", "messages", "replay_ratio"},
    "replay_ratio": {"checkpoints"},
    "saved_policy": {"checkpoints"},
    "topology": {"addresses", "cluster", "config", "errors", "strategy_checks"},
    "placement": {"addresses", "cluster", "config", "errors", "topology"},
    "places": {"errors", "locks", "topology"},
    "beat_files": {"errors", "owners", "topology"},
    "command_signs": {"beat_files"},
    "model_formats": {"errors"},
    "tf_serving": {"durable"},
    "scores": {"randomness"},
    "watchdog": {"work_clock"},
    "membership": {"messages"},
    "peers": {"messages"},
    "roster": {"messages"},
    "local_cluster": {"local_processes"},
    "program": {"local_processes"},
    "supervised": {"local_processes", "program"},
    "supervisor": {"learner_watch", "local_processes", "program", "supervised"},
    "gpus": {"program"},
    "launch": {"gpus", "program", "supervisor"},
    "manifests": {"local_processes", "program"},
    "evaluation_log": {"metrics"},
    "remote_weights": {"messages", "variables"},
    "control": {"membership", "messages", "remote_weights", "roster", "variables"},
    "team": {"local_cluster"},
    "session": {"team"},
    "job_session": {"team"},
    "loops": {"session"},
    "results": {"report"},
    "live_table": {"terminal"},
    "inspect_view": {"live_table", "terminal"},
    "cli_jobs": {"cli_arguments", "inspect_view", "live_table", "terminal"},
    "cli_manifest": {"__init__", "cli_arguments"},
    "cli": {"__init__", "cli_arguments", "cli_errors", "cli_jobs", "cli_manifest", "cli_serving", "terminal"},
    "__main__": {"cli"},
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}

HEAVY = {"tensorflow", "keras", "tf_agents", "reverb", "gymnasium", "gym", "matplotlib"}
ENVIRONMENT_PACKAGES = {"gymnasium", "gym", "ale_py", "minigrid", "Box2D", "mujoco", "pygame", "pettingzoo"}
GRAB_BAGS = {"utils", "util", "common", "helpers", "parts", "misc"}

Imports = dict[str, set[str]]


def module_name(file: Path) -> str:
    """tfdqn/tasks/registry.py → tasks.registry; tfdqn/tasks/__init__.py → tasks; the package → __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts if parts == ("__init__",) or parts[-1] != "__init__" else parts[:-1])


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


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


INSIDE: Imports = {
    name: {module for each in imported_names(file) if (module := module_of(each)) is not None} - {name}
    for name, file in FILES.items()
}
OUTSIDE: Imports = {
    name: {each.split(".")[0] for each in imported_names(file)} - {"tfdqn"} for name, file in FILES.items()
}


def top(module: str) -> str:
    return module.split(".")[0]


def upward_edges(imports: Imports, layer_of: dict[str, int]) -> list[str]:
    return sorted(
        f"{source} (layer {layer_of[top(source)]}) imports {target} (layer {layer_of[top(target)]})"
        for source, targets in imports.items()
        for target in targets
        if layer_of[top(target)] > layer_of[top(source)]
    )


def sideways_edges(imports: Imports, layer_of: dict[str, int]) -> Imports:
    """What each folder or file imports of its own layer."""
    edges = {
        source: {target for target in targets if layer_of[target] == layer_of[source]}
        for source, targets in between_folders(imports).items()
    }
    return {source: targets for source, targets in edges.items() if targets}


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


def test_every_module_has_a_layer() -> None:
    assert {top(module) for module in FILES} - LAYER_OF.keys() == set()


def test_imports_point_down() -> None:
    assert upward_edges(INSIDE, LAYER_OF) == []


def test_inside_a_layer_only_the_declared_imports_are_made_and_all_of_them() -> None:
    assert sideways_edges(INSIDE, LAYER_OF) == SIDEWAYS


def test_no_imports_go_in_a_circle() -> None:
    assert a_circle(INSIDE) == []


def test_no_folders_import_one_another() -> None:
    assert a_circle(between_folders(INSIDE)) == []


def test_the_checks_find_what_they_look_for() -> None:
    good = {
        "cli": {"errors", "tasks.registry"},
        "tasks.registry": {"errors", "tasks.spaces"},
        "errors": set(),
    }
    assert upward_edges(good, LAYER_OF) == []
    assert a_circle(good) == []
    assert sideways_edges(good, LAYER_OF) == {}
    sideways = good | {"tasks.spaces": {"networks.features", "tasks.states"}}
    assert sideways_edges(sideways, LAYER_OF) == {"tasks": {"networks"}}
    upward = good | {"tasks.spaces": {"cli"}}
    assert upward_edges(upward, LAYER_OF) == ["tasks.spaces (layer 1) imports cli (layer 6)"]
    assert a_circle(upward) == ["cli", "tasks.registry", "tasks.spaces", "cli"]
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


@pytest.mark.parametrize("module", LAYERS[0])
def test_layer_0_needs_no_tensorflow(module: str) -> None:
    assert OUTSIDE[module] & HEAVY == set()


def test_importing_layer_0_and_the_command_line_brings_nothing_heavy() -> None:
    modules = [f"tfdqn.{name}" for name in [*LAYERS[0], "cli"]]
    probe = f"import sys, {', '.join(modules)}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert done.stdout == "[]\n"


def test_only_tasks_imports_environment_packages() -> None:
    guilty = {name: found for name, names in OUTSIDE.items() if (found := names & ENVIRONMENT_PACKAGES)}
    assert {name for name in guilty if top(name) != "tasks"} == set()
    assert guilty


def test_no_file_is_a_grab_bag() -> None:
    assert {name for name in FILES if name.split(".")[-1] in GRAB_BAGS} == set()


def test_every_file_opens_with_what_it_is() -> None:
    silent = [name for name, file in FILES.items() if not ast.get_docstring(ast.parse(file.read_text()))]
    assert silent == []
