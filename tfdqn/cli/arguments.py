"""Arguments that several verbs share, and the functions that resolve them."""

import math
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tfdqn.config import Config
from tfdqn.errors import ConfigError, PlatformError
from tfdqn.system.shell_commands import as_argument, own_command
from tfdqn.system.utf8 import link_in_utf8, path_for_libraries

_removals: list[Callable[[], None]] = []  # of links that this command has made

CONFIG_FILE = typer.Argument(metavar="CONFIG", help="a TOML file, such as configs/cartpole.toml", show_default=False)
ConfigFile = Annotated[Path, CONFIG_FILE]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="configuration keys to override, such as agent.n_step=3", show_default=False
    ),
]


def link_if_needed(path: Path | None) -> Path | None:
    """Returns an output directory; if its name isn't UTF-8, makes a link that TensorFlow can use, and returns that.

    A command that is refused leaves neither directory nor link: `unused_links_removed`.
    """
    if path is None:
        return None
    _removals.append(link_in_utf8(path, say_on_stderr))
    return path_for_libraries(path)


@contextmanager
def unused_links_removed() -> Iterator[None]:
    """Removes, when a command ends, what `link_if_needed` has made for it in vain."""
    try:
        yield
    finally:
        while _removals:
            _removals.pop()()


def finite(value: float | None) -> float | None:
    """Returns the value of an option; refuses NaN and infinity, which bounds don't keep out."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} must be a finite number")
    return value


Run = Annotated[Path, typer.Argument(metavar="RUN", help="a run directory")]
RunDirectory = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="the run directory",
        show_default="runs/<CONFIG>-seed<SEED>; for a run's config.toml, that run",
        callback=link_if_needed,
    ),
]
Actors = Annotated[int | None, typer.Option(min=1, metavar="N", help="number of actors (acting.actors)")]
ReplayServers = Annotated[int | None, typer.Option(min=1, metavar="N", help="number of replay servers (replay.shards)")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="number of workers (learner.workers)")]
ParameterServers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="number of parameter servers (learner.parameter_servers); selects learner.strategy=parameter_server",
    ),
]
Seeds = Annotated[
    str | None, typer.Option(metavar="SEEDS", help="train several seeds, such as 1-5 or 1,2,8", show_default=False)
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, metavar="J", help="seeds to train in parallel", show_default="from the number of cores"),
]
TaskChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="task key to override, such as task.max_episode_steps=1000; may be repeated"
    ),
]


def require_supported_platform() -> None:
    """Raises PlatformError where TensorFlow 2.15 and Reverb can't be installed."""
    here = f"{platform.system()} {platform.machine()} with Python {platform.python_version()}"
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info[:2] != (3, 11):
        raise PlatformError(f"tfdqn needs Linux on x86-64 and Python 3.11, for which Reverb is built, not {here}")


def installed_version() -> str:
    """The version of the installed tfdqn, such as "1.2.3"."""
    from importlib.metadata import version  # late: slow to import

    return version("tfdqn")


def command_to_resume(verb: str, config: Path, arguments: Sequence[str], run_dir: Path) -> str:
    """The command that resumes a run, quoted so that it can be pasted into a shell."""
    return own_command([verb, as_argument(config), *arguments, "--run-dir", str(run_dir)])


def load_config(
    config: Path,
    overrides: Sequence[str],
    unused: MutableMapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Config:
    """Loads a configuration as `toml.load` does, with its notes on stderr: stdout may be read by a program.

    Raises ConfigError also if a key is given twice, with different values.
    """
    from tfdqn.config import toml

    toml.require_once(overrides)
    return toml.load(config, overrides, say_on_stderr, unused, options)


def say_on_stderr(line: str) -> None:
    """Prints one line on stderr."""
    typer.echo(line, err=True)


def load_job(
    config: Path,
    overrides: list[str] | None,
    actors: int | None,
    replay_servers: int | None,
    workers: int | None,
    parameter_servers: int | None,
    unused: MutableMapping[str, str] | None = None,
) -> tuple[Config, list[str]]:
    """Loads a job's configuration; returns it with all its overrides, those for the counts of processes included.

    Raises ConfigError for bad overrides, for an option that contradicts one of them, and for `workers` with a strategy
    that has none.
    """
    given, options = list(overrides or ()), {}
    strategy = None if parameter_servers is None else "parameter_server"
    for option, count, key, value in (
        ("--parameter-servers", parameter_servers, "learner.strategy", strategy),
        ("--parameter-servers", parameter_servers, "learner.parameter_servers", parameter_servers),
        ("--actors", actors, "acting.actors", actors),
        ("--replay-servers", replay_servers, "replay.shards", replay_servers),
        ("--workers", workers, "learner.workers", workers),
    ):
        if value is not None:
            refuse_contradiction(f"{option} {count}", key, value, overrides or ())
            given.append(f"{key}={value}")
            options[key] = option
    resolved = load_config(config, given, unused, options)
    if workers is not None and resolved.learner.strategy in ("local", "mirrored"):
        raise ConfigError(
            f'--workers {workers}: learner.strategy = "{resolved.learner.strategy}" has none; give '
            "--parameter-servers too, or learner.strategy=multi_worker"
        )
    return resolved, given


def refuse_contradiction(option: str, key: str, value: str | int, overrides: Sequence[str]) -> None:
    """Raises ConfigError if an override gives a key another value than the option, or variable, that means the key."""
    from tfdqn.config.values import override_value

    for override in overrides:
        name, _, text = override.partition("=")
        if name.strip() == key and override_value(text.strip()) != value:
            raise ConfigError(f"{option} means {key}={value}, and {override} is given, too: leave one of the two out")
