"""What several verbs of the command line share: their arguments, and what these become."""

import platform
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tfdqn.config import Config
from tfdqn.errors import ConfigError, PlatformError
from tfdqn.system.shell_commands import own_command
from tfdqn.system.utf8 import link_in_utf8

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="a TOML file, such as configs/cartpole.toml")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="configuration keys to override, such as agent.n_step=3", show_default=False
    ),
]


def link_if_needed(path: Path | None) -> Path | None:
    """An option's directory, which is to be made, with a link that TensorFlow can take where its name is not UTF-8."""
    if path is not None:
        link_in_utf8(path, say_on_stderr)
    return path


Run = Annotated[Path, typer.Argument(metavar="RUN", help="a run directory")]
RunDirectory = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="the run directory", show_default="runs/<CONFIG>-seed<SEED>", callback=link_if_needed
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


def require_supported_platform() -> None:
    """Raises PlatformError if TensorFlow 2.15 or Reverb can't be installed, and would fail in words of their own."""
    here = f"{platform.system()} {platform.machine()} with Python {platform.python_version()}"
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info[:2] != (3, 11):
        raise PlatformError(f"tfdqn needs Linux on x86-64 and Python 3.11, for which Reverb is built, not {here}")


def installed_version() -> str:
    from importlib.metadata import version  # which imports much

    return version("tfdqn")


def default_run_dir(config_file: Path, config: Config) -> Path:
    return Path("runs") / f"{config_file.stem}-seed{config.seed}"


def command_to_resume(verb: str, config: Path, arguments: Sequence[str], run_dir: Path) -> str:
    """What a shell takes, pasted, to go on with a run, whatever letters its paths have."""
    return own_command([verb, as_argument(config), *arguments, "--run-dir", str(run_dir)])


def as_argument(path: Path) -> str:
    """A path as a command takes it that has options, too."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def load_config(config: Path, overrides: Sequence[str], unused: MutableMapping[str, str] | None = None) -> Config:
    """As `toml.load`; what is left out is said on stderr: stdout may be for programs."""
    from tfdqn.config import toml

    return toml.load(config, overrides, say_on_stderr, unused)


def say_on_stderr(line: str) -> None:
    """Shows one line."""
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
    """A job's configuration, and every override that makes it, the counts among them. Raises ConfigError."""
    given = list(overrides or ())
    if parameter_servers is not None:
        given += ["learner.strategy=parameter_server", f"learner.parameter_servers={parameter_servers}"]
    counts = {"acting.actors": actors, "replay.shards": replay_servers, "learner.workers": workers}
    given += [f"{key}={count}" for key, count in counts.items() if count is not None]
    resolved = load_config(config, given, unused)
    if workers is not None and resolved.learner.strategy in ("local", "mirrored"):
        raise ConfigError(
            f'--workers {workers}: learner.strategy = "{resolved.learner.strategy}" has none; give '
            "--parameter-servers too, or learner.strategy=multi_worker"
        )
    return resolved, given
