"""The command line: one function per verb, each a thin layer over the function that does the work.

Nothing heavy is imported before a verb needs it: `tfdqn --help` knows no TensorFlow. `cli_jobs.py` has the verbs for
jobs of many processes, `cli_manifest.py` the one that writes files for other platforms,
`cli_serving.py` the one that serves a policy; `cli_errors.py` says what went wrong.
"""

import importlib.metadata
import os
import sys
import traceback
from collections.abc import Sequence
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import ConfigFile, Overrides, Run, RunDirectory, command_to_resume, default_run_dir
from tfdqn.cli.errors import status_of
from tfdqn.cli.jobs import jobs
from tfdqn.cli.manifest import manifests
from tfdqn.cli.platform_check import require_supported_platform
from tfdqn.cli.serve import serving
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.coordination.command_heartbeat import heartbeat_of_command
from tfdqn.errors import ClusterError, EnvironmentFailedError, FilmError, UserError
from tfdqn.exporting.formats import ModelFormat, convertible
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.utf8 import show_any_text

if TYPE_CHECKING:
    from tfdqn.evaluation.evaluate import EvaluationReport

app = typer.Typer(
    name="tfdqn",
    help="Trains deep Q-networks in parallel, with TensorFlow.",
    add_completion=False,
    # Rich help would double the time that --help takes.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(jobs)
app.add_typer(manifests)
app.add_typer(serving)


class Which(StrEnum):
    """Which of a run's policies."""

    best = "best"
    latest = "latest"


Checkpoint = Annotated[Which, typer.Option("--checkpoint", help="which of the run's policies")]


@app.command()
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


@app.command("config")
def show_config(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print the whole configuration, with what each key means."""
    from tfdqn.config import toml

    typer.echo(toml.dump(toml.load(config, overrides or ())), nl=False)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def version() -> None:
    """Print tfdqn's version."""
    typer.echo(importlib.metadata.version("tfdqn"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status. Errors that a user can mend are one line on stderr.

    `tfdqn run` ends the process instead: what Reverb and TensorFlow would do at Python's own end waits for peers that
    may be gone.
    """
    show_any_text()
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]

    def command() -> int:
        return app(args=arguments, prog_name="tfdqn", standalone_mode=False) or 0

    if arguments[0] == "health":  # it asks after the signs of others
        return status_of(command)
    if arguments[0] != "run":
        with heartbeat_of_command(arguments[0], lambda line: typer.echo(line, err=True)):
            return status_of(command)
    try:
        status = status_of(command)
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
