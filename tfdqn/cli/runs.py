"""The verbs for one run: `train`, `config`, `evaluate`, `plot` and `export`; and `version`."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import (
    ConfigFile,
    Jobs,
    MinReturn,
    Overrides,
    Run,
    RunDirectory,
    Seeds,
    TaskChanges,
    command_to_resume,
    default_run_dir,
    installed_version,
    load_config,
    refuse_contradiction,
    require_supported_platform,
    say_on_stderr,
)
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import Config
from tfdqn.errors import ClusterError, ConfigError, FaultyTaskError, RunDirError, UserCodeError, VideoError
from tfdqn.exporting.formats import ModelFormat, parse_formats
from tfdqn.records import Counters, Summary
from tfdqn.storage.atomic_files import require_writable
from tfdqn.storage.locks import release_all
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.signals import end_at_once, end_start, interruptions
from tfdqn.system.standard_output import others_print_to_stderr

if TYPE_CHECKING:
    from tfdqn.evaluation.evaluate import EvaluationReport

runs = typer.Typer()


class Which(StrEnum):
    """Which of a run's policies: that of its best evaluation, or of its newest checkpoint."""

    best = "best"
    latest = "latest"


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
        bool, typer.Option("--together", help="train seeds as threads, in one process per core (docs/many_runs.md)")
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
    _train_one(config, overrides or (), run_dir, profile)


def _train_one(config: Path, overrides: Sequence[str], run_dir: Path | None, profile: bool) -> None:
    """Trains one run; if `TF_CONFIG` makes this process part of a cluster, does this process's share of it."""
    from tfdqn.cluster.checks import cluster_for, cluster_keys, cluster_overrides, given_keys
    from tfdqn.cluster.environment import cluster_of_environment
    from tfdqn.cluster.tf_config import VARIABLE

    named = cluster_of_environment()
    for key, value in cluster_keys(named).items():
        refuse_contradiction(VARIABLE, key, value, overrides)
    unused: dict[str, str] = {}
    resolved = load_config(config, [*overrides, *cluster_overrides(named)], unused)
    cluster = cluster_for(resolved, named)
    if cluster is not None:
        _say_doubts(cluster, config)
    if cluster is not None and not cluster.is_chief:
        _take_part(resolved, cluster)
        return
    path = run_dir or default_run_dir(config, resolved)
    run = RunDir(path)
    run.refuse_unused(given_keys(unused, named), say_on_stderr)
    try:
        run.refuse_early(resolved)
    except RunDirError:
        from tfdqn.training.prerequisites import require_trainable  # gymnasium comes with it

        require_trainable(resolved)  # what is wrong with the configuration is the more basic mistake
        raise
    again = command_to_resume("train", config, overrides, path)
    summary = _trained(resolved, cluster, run, again, profile)
    if summary.status == "interrupted":
        last = f"Saved. To resume:\n{again}"
    else:
        further = command_to_resume("train", config, _further(overrides, summary, resolved, run), path)
        last = f"To resume beyond this:\n{further}"
    with suppress(OSError):  # the terminal may have been closed
        typer.echo(last)


def _say_doubts(cluster: Cluster, config: Path) -> None:
    """Prints a warning for what is probably wrong with a cluster, beside the configuration file `config`."""
    from tfdqn.cluster.checks import doubt, unused_of_file
    from tfdqn.config import toml

    lines = [doubt(cluster), *unused_of_file(toml.decoded(toml.content(config), str(config)), cluster)]
    for line in filter(None, lines):
        typer.echo(f"warning: {line}")


def _trained(config: Config, cluster: Cluster | None, run: RunDir, again: str, profile: bool) -> Summary:
    """Trains behind a progress bar and prints the summary. `again` is the command to resume."""
    from tfdqn.cli import terminal

    progress = terminal.TrainingProgress()

    def say_stopped() -> None:
        release_all()
        progress.close()
        progress.say(f"Stopped while starting: nothing was lost. {_to_go_on(run, again)}")

    def acknowledge() -> None:
        if progress.has_begun:
            progress.stopping()
        else:
            end_start(say_stopped)

    with interruptions(end_at_once, acknowledge) as interrupted, progress:
        # Imported late: this is most of the start-up time, and by now the bar is shown and signals are handled.
        from tfdqn.training.train import train_checked

        try:
            summary = train_checked(config, cluster, run, progress.show, progress.say, profile, interrupted)
        except (FaultyTaskError, ClusterError, UserCodeError) as error:
            error.add_note(_to_go_on(run, again))
            raise
    with suppress(OSError):  # the terminal may have been closed
        terminal.print_summary(summary)
    return summary


def _to_go_on(run: RunDir, again: str) -> str:
    return f"To {'resume' if run.has_checkpoint else 'begin again'}:\n{again}"


def _further(overrides: Sequence[str], summary: Summary, config: Config, run: RunDir) -> list[str]:
    """The overrides that train a finished run further: the given ones, with the condition that ended it lifted."""
    from tfdqn.storage.checkpoints import CheckpointManager
    from tfdqn.training.stopping import overrides_to_go_on

    newest = CheckpointManager(run.checkpoints).latest(names=())
    lifted = overrides_to_go_on(summary, config.stop, Counters() if newest is None else newest.counters)
    keys = {each.partition("=")[0] for each in lifted}
    return [*(each for each in overrides if each.partition("=")[0].strip() not in keys), *lifted]


def _take_part(config: Config, cluster: Cluster) -> None:
    """Serves the chief, in a process to which `TF_CONFIG` gives another part than the chief's."""
    from tfdqn.roles import entry

    typer.echo(f"{cluster.name}: working for the chief at {cluster.chief_host}")
    entry.serve_chief(config, cluster, typer.echo)


@runs.command("config")
def show_config(config: ConfigFile, overrides: Overrides = None) -> None:
    """Print the full configuration, with an explanation of each key."""
    from tfdqn.config import toml

    typer.echo(toml.dump(load_config(config, overrides or ())), nl=False)


@runs.command()
def evaluate(
    run: Run,
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="number of episodes")] = 100,
    video: Annotated[bool, typer.Option("--video", help="record one episode as MP4")] = False,
    gif: Annotated[bool, typer.Option("--gif", help="record one episode as a small GIF, instead of --video")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
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
    toml.with_changed_task(directory.config(), changes or (), str(directory.config_file), "--set")
    require_policy(directory, checkpoint.value)

    # Imported late: this takes seconds, and mistakes are reported before.
    from tfdqn.evaluation.evaluate import evaluate as run_evaluation

    console = terminal.make_console()

    def show(report: "EvaluationReport") -> None:
        if as_json:
            typer.echo(report.to_json().encode())  # JSON is UTF-8, whatever the terminal
        else:
            terminal.print_evaluation(report, console)

    try:
        with others_print_to_stderr() if as_json else nullcontext():
            report = run_evaluation(
                run,
                episodes=episodes,
                seed=seed,
                overrides=changes or (),
                checkpoint=checkpoint.value,
                video="gif" if gif else "mp4" if video else None,
            )
    except VideoError as error:
        show(error.report)
        raise
    show(report)
    terminal.require_reader(console)


@runs.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run directories, or folders of seeds")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="PNG file to write",
            show_default="learning_curve.png in the run directory; learning_curves.png for several runs",
        ),
    ] = None,
) -> None:
    """Plot learning curves. Runs that differ only in their seed become one curve with a band."""
    from tfdqn.reports.learning_curves import plot as plot_curves

    if output is None:
        output = RunDir(runs[0]).learning_curve if len(runs) == 1 else Path("learning_curves.png")
    typer.echo(plot_curves(runs, output))


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
    from tfdqn.storage.best_policy import require_policy

    require_policy(RunDir(run).begun(), checkpoint.value)
    if hub_layout is not None:
        require_free(hub_layout)
        require_writable(hub_layout.parent)
    from tfdqn.exporting.from_run import export_run  # late, as in `evaluate`

    version = export_run(run, checkpoint.value, min_return, wanted)
    for each in wanted:
        typer.echo(version if each is ModelFormat.savedmodel else version / each.file)
    if hub_layout is not None:
        from tfdqn.exporting.hub_layout import write_hub_layout

        write_hub_layout(RunDir(run), version, checkpoint.value, hub_layout)
        typer.echo(hub_layout)


@runs.command()
def version() -> None:
    """Print the version of tfdqn."""
    typer.echo(installed_version())
