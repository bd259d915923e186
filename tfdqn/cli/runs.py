"""The verbs for one run: `train`, `config`, `evaluate`, `plot` and `export`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import (
    CONFIG_FILE,
    ConfigFile,
    Jobs,
    Overrides,
    Run,
    RunDirectory,
    Seeds,
    TaskChanges,
    finite,
    load_config,
    require_supported_platform,
    say_on_stderr,
)
from tfdqn.cli.phase_line import PhaseLine
from tfdqn.cli.training import train_one
from tfdqn.errors import ConfigError, VideoError, counted
from tfdqn.exporting.formats import ModelFormat, parse_formats
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.output import others_print_to_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from tfdqn.evaluation.evaluate import EvaluationReport

runs = typer.Typer()


class Which(StrEnum):
    """Which of a run's policies: that of its best evaluation, or of its newest checkpoint."""

    best = "best"
    latest = "latest"


MinReturn = Annotated[
    float | None,
    typer.Option(
        help="export only if the policy was evaluated with at least this mean return",
        metavar="X",
        show_default=False,
        callback=finite,
    ),
]
Checkpoint = Annotated[Which, typer.Option("--checkpoint", help="which of the run's policies to use")]


@runs.command()
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    run_dir: RunDirectory = None,
    profile: Annotated[bool, typer.Option("--profile", help="write a TensorFlow profiler trace")] = False,
    seeds: Seeds = None,
    jobs: Jobs = None,
    together: Annotated[
        bool, typer.Option("--together", help="train seeds as threads of a few processes (docs/many_runs.md)")
    ] = False,
) -> None:
    """Train on a task, or resume an existing run. With --seeds, DIR holds one run per seed."""
    require_supported_platform()
    if seeds is not None:
        from tfdqn.cli import seeds as many

        many.train(config, overrides or (), run_dir, seeds, jobs, ["--profile"] if profile else [], together)
        return
    if jobs is not None:
        raise ConfigError(f"--jobs {jobs} needs --seeds, such as --seeds 1-5")
    if together:
        raise ConfigError("--together needs --seeds, such as --seeds 1-5")
    train_one(config, overrides or (), run_dir, profile)


@runs.command("config")
def show_config(
    config: Annotated[Path | None, CONFIG_FILE] = None,
    overrides: Overrides = None,
    reference: Annotated[bool, typer.Option("--reference", help="print the keys of every kind, as Markdown")] = False,
) -> None:
    """Print the full configuration, with an explanation of each key."""
    from tfdqn.agents.registration import require_registered
    from tfdqn.config import reference as of_all_keys
    from tfdqn.config import toml

    if (config is None) != reference:
        raise ConfigError("tfdqn config needs either CONFIG, a TOML file, or --reference")
    if config is None:
        typer.echo(of_all_keys.reference(), nl=False)
        return
    resolved = load_config(config, overrides or ())
    require_registered(resolved)
    typer.echo(toml.dump(resolved), nl=False)


@runs.command()
def evaluate(
    run: Run,
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="number of episodes")] = 100,
    video: Annotated[bool, typer.Option("--video", help="record one episode as MP4")] = False,
    gif: Annotated[bool, typer.Option("--gif", help="record one episode as a small GIF, instead of --video")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON, with the return and the length of each episode")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="N", help="seed of the evaluation environments")
    ] = 0,
    changes: TaskChanges = None,
    checkpoint: Checkpoint = Which.best,
) -> None:
    """Evaluate a run's greedy policy in fresh environments."""
    require_supported_platform()
    if video and gif:
        raise ConfigError("--video and --gif: an episode is recorded as one of the two: give only one")
    from tfdqn.cli import terminal
    from tfdqn.config import toml
    from tfdqn.storage.best_policy import require_policy

    directory = RunDir(run)
    task = toml.with_changed_task(directory.config(), changes or (), str(directory.config_file), "--set").task
    require_policy(directory, checkpoint.value)
    console = terminal.make_console()
    line = f"{task.id}: {counted(episodes, 'episode')} of the {checkpoint.value} policy of {run}"
    heading = partial(terminal.print_line, console, line)
    try:
        with others_print_to_stderr() if as_json else nullcontext(), _phases(None if as_json else heading) as begin:
            # Imported late: this takes seconds, and mistakes are reported before.
            from tfdqn.evaluation.evaluate import evaluate as run_evaluation

            report = run_evaluation(
                run,
                episodes=episodes,
                seed=seed,
                overrides=changes or (),
                checkpoint=checkpoint.value,
                video="gif" if gif else "mp4" if video else None,
                on_begin=begin,
            )
    except VideoError as error:
        _show(error.report, as_json, console)
        raise
    _show(report, as_json, console)
    terminal.require_reader(console)


@contextmanager
def _phases(heading: Callable[[], None] | None) -> Iterator[Callable[[], None]]:
    """Shows "preparing"; the yielded function prints `heading` and switches to "evaluating"."""
    with ExitStack() as shown:
        preparing = shown.enter_context(PhaseLine("preparing"))

        def begin() -> None:
            preparing.close()
            if heading is not None:
                heading()
            shown.enter_context(PhaseLine("evaluating"))

        yield begin


def _show(report: "EvaluationReport", as_json: bool, console: "Console") -> None:
    from tfdqn.cli import terminal

    if as_json:
        typer.echo(report.to_json().encode())  # JSON is UTF-8, whatever the terminal
    else:
        terminal.print_evaluation(report, console)


@runs.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run directories, or folders with runs in them")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="PNG file to write",
            show_default="learning_curve.png in the directory; learning_curves.png for several directories",
        ),
    ] = None,
) -> None:
    """Plot learning curves. Runs that differ only in their seed become one curve with a band."""
    from tfdqn.reports.learning_curves import plot as plot_curves

    if output is None:
        output = RunDir(runs[0]).learning_curve if len(runs) == 1 else Path("learning_curves.png")
    typer.echo(plot_curves(runs, output, say_on_stderr))


@runs.command()
def export(
    run: Run,
    checkpoint: Checkpoint = Which.best,
    min_return: MinReturn = None,
    formats: Annotated[
        list[ModelFormat] | None,
        typer.Option(
            "--format",
            help="format to write; onnx and tflite come in addition to the SavedModel; may be repeated",
            show_default="savedmodel",
        ),
    ] = None,
    hub_layout: Annotated[
        Path | None,
        typer.Option(
            "--hub-layout",
            metavar="DIR",
            help="also write DIR in the layout of model hubs: model card, model, configuration, video",
        ),
    ] = None,
) -> None:
    """Export a run's policy as a SavedModel with a model card. Prints its path."""
    require_supported_platform()
    wanted = parse_formats(formats or [ModelFormat.savedmodel])
    from tfdqn.exporting.versions import require_free
    from tfdqn.storage.best_policy import require_policy, require_return

    directory = RunDir(run)
    require_policy(directory.begun(), checkpoint.value)
    directory.config()  # before TensorFlow is imported: reading it may select oneDNN
    if min_return is not None:
        require_return(directory, checkpoint.value, min_return)
    if hub_layout is not None:
        require_free(hub_layout)
    with PhaseLine("exporting"):
        from tfdqn.exporting.from_run import export_run  # late, as in `evaluate`

        version = export_run(run, checkpoint.value, min_return, wanted)
    for each in wanted:
        typer.echo(version if each is ModelFormat.savedmodel else version / each.file)
    if hub_layout is not None:
        with PhaseLine("recording a video"):
            from tfdqn.exporting.hub_layout import write_hub_layout

            write_hub_layout(directory, version, checkpoint.value, hub_layout)
        typer.echo(hub_layout)
