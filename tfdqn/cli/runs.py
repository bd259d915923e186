"""The command line's verbs for one run: train, evaluate, plot, export; and what there is to train with."""

from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import (
    ConfigFile,
    Overrides,
    Run,
    RunDirectory,
    command_to_resume,
    default_run_dir,
    require_supported_platform,
)
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.errors import ClusterError, EnvironmentFailedError, FilmError, UserError
from tfdqn.exporting.formats import ModelFormat, convertible
from tfdqn.storage.run_directory import RunDir

if TYPE_CHECKING:
    from tfdqn.evaluation.evaluate import EvaluationReport

runs = typer.Typer()


class Which(StrEnum):
    """Which of a run's policies."""

    best = "best"
    latest = "latest"


Checkpoint = Annotated[Which, typer.Option("--checkpoint", help="which of the run's policies")]


@runs.command()
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    run_dir: RunDirectory = None,
    profile: Annotated[bool, typer.Option("--profile", help="write a TensorFlow profiler trace")] = False,
) -> None:
    """Learn a task; on an existing run, resume it."""
    require_supported_platform()
    from tfdqn.cli import terminal
    from tfdqn.cluster.checks import cluster_for, cluster_keys, doubt
    from tfdqn.cluster.environment import cluster_of_environment
    from tfdqn.config import toml
    from tfdqn.system.signals import end_at_once, interruptions

    named = cluster_of_environment()
    resolved = toml.load(config, [*(overrides or ()), *cluster_keys(named)])
    cluster = cluster_for(resolved, named)
    if cluster is not None and (line := doubt(cluster)):
        typer.echo(f"warning: {line}")
    if cluster is not None and not cluster.is_chief:
        _take_part(resolved, cluster)
        return
    path = run_dir or default_run_dir(config, resolved)
    RunDir(path).refuse_early(resolved)
    again = command_to_resume("train", config, overrides or (), path)
    with interruptions(end_at_once) as interrupted, terminal.TrainingProgress() as progress:
        # Its import is most of the start: the bar is there before it, and a signal waits for it.
        from tfdqn.training.train import train as run_training

        try:
            summary = run_training(
                resolved,
                path,
                on_progress=progress.show,
                say=progress.say,
                profile=profile,
                interrupted=interrupted,
            )
        except (ClusterError, EnvironmentFailedError) as error:
            error.add_note(f"To resume: {again}")
            raise
    terminal.print_summary(summary)
    if summary.status == "interrupted":
        typer.echo(f"Saved. To resume: {again}")


def _take_part(config: Config, cluster: Cluster) -> None:
    """What a process does that `TF_CONFIG` makes another's than the chief's."""
    from tfdqn.roles import entry

    typer.echo(f"{cluster.name}: at the service of the chief at {cluster.chief_host}")
    entry.run(config, cluster, typer.echo)


@runs.command("config")
def show_config(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print the whole configuration, with what each key means."""
    from tfdqn.config import toml

    typer.echo(toml.dump(toml.load(config, overrides or ())), nl=False)


@runs.command()
def tasks(
    pattern: Annotated[
        str, typer.Argument(help="only ids that contain this, or match it: 'Cart*'", show_default=False)
    ] = "",
) -> None:
    """List the tasks that are installed, and which are usable."""
    from tfdqn.cli import terminal
    from tfdqn.tasks.registry import installed_tasks

    wanted = pattern.lower()
    found = [
        each for each in installed_tasks() if wanted in each.id.lower() or fnmatch(each.id.lower(), wanted)
    ]
    if not found:
        raise UserError(f'no installed task has "{pattern}" in its id')
    terminal.print_tasks(found)


@runs.command()
def evaluate(
    run: Run,
    episodes: Annotated[int, typer.Option(min=1, help="episodes to play")] = 100,
    video: Annotated[bool, typer.Option("--video", help="write an MP4 of one episode")] = False,
    gif: Annotated[bool, typer.Option("--gif", help="write a small GIF of it instead")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="of the evaluation environments")] = 0,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="a key of the task to change, such as task.max_episode_steps=1000; may be repeated",
        ),
    ] = None,
    checkpoint: Checkpoint = Which.best,
) -> None:
    """Play greedy episodes with a run's policy, on fresh environments."""
    require_supported_platform()
    from tfdqn.cli import terminal
    from tfdqn.evaluation.evaluate import evaluate as run_evaluation

    def show(report: "EvaluationReport") -> None:
        if as_json:
            typer.echo(report.to_json().encode())  # JSON is UTF-8, whatever the terminal
        else:
            terminal.print_evaluation(report)

    try:
        report = run_evaluation(
            run,
            episodes=episodes,
            seed=seed,
            overrides=changes or (),
            checkpoint=checkpoint.value,
            video="gif" if gif else "mp4" if video else None,
        )
    except FilmError as error:
        show(error.report)
        raise
    show(report)


@runs.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="runs' directories")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="a PNG; else in the run, or learning_curves.png"),
    ] = None,
) -> None:
    """Draw learning curves; several runs that differ in the seed alone become one curve with a band."""
    from tfdqn.reports.learning_curves import plot as plot_curves

    if output is None:
        output = RunDir(runs[0]).learning_curve if len(runs) == 1 else Path("learning_curves.png")
    typer.echo(plot_curves(runs, output))


@runs.command()
def export(
    run: Run,
    checkpoint: Checkpoint = Which.best,
    min_return: Annotated[
        float | None,
        typer.Option(help="export only what was evaluated at least so good", metavar="X", show_default=False),
    ] = None,
    formats: Annotated[
        list[ModelFormat] | None,
        typer.Option(
            "--format",
            help="onnx and tflite come beside the SavedModel; may be repeated",
            show_default="savedmodel",
        ),
    ] = None,
) -> None:
    """Write a run's policy as a SavedModel with a model card, in further formats on request, and print where."""
    require_supported_platform()
    wanted = convertible(formats or [ModelFormat.savedmodel])
    from tfdqn.exporting.from_run import export_run

    version = export_run(run, checkpoint.value, min_return, wanted)
    for each in wanted:
        typer.echo(version if each is ModelFormat.savedmodel else version / each.file)
