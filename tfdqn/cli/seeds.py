"""`tfdqn train --seeds`: trains one configuration with several seeds, and prints the results."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tfdqn.cli.arguments import command_to_resume, load_config, say_on_stderr
from tfdqn.cli.starting import starting
from tfdqn.cli.tables import WholeTable, pairs_table, print_whole
from tfdqn.cli.terminal import make_console
from tfdqn.config import Config
from tfdqn.config.seeds import read_seeds
from tfdqn.errors import FAILED_STATUS, ConfigError, RunDirError, listed
from tfdqn.storage.seeds_folder import SeedsFolder
from tfdqn.system.interval import duration
from tfdqn.tuning.seed_results import SeedsSummary, SeedStatistics

if TYPE_CHECKING:
    from tfdqn.cli.runs_view import RunsView
    from tfdqn.tuning.seeds import SeedsOutcome

_FIGURES = ("final evaluation", "best evaluation", "steps", "updates", "time")


def train(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    seeds: str,
    jobs: int | None,
    options: Sequence[str],
    together: bool = False,
) -> None:
    """Trains a configuration with several seeds.

    Args:
      config: a TOML file.
      overrides: "key=value" each.
      run_dir: the folder of the seeds' runs; None: runs/<CONFIG>-seeds.
      seeds: a list such as "1-5,8".
      jobs: how many to train in parallel; None: from the number of cores.
      options: further options of `tfdqn train` for each seed.
      together: train them as threads, in one process per core.

    Raises ConfigError for a configuration or options that can't be trained so, and typer.Exit if a seed has failed.
    """
    from tfdqn.cluster.environment import cluster_of_environment

    wanted = read_seeds(seeds)
    if given := next((each for each in overrides if each.partition("=")[0].strip() == "seed"), None):
        raise ConfigError(f"{given}: --seeds {seeds} says which seeds are trained: leave one of the two out")
    if cluster_of_environment() is not None:
        raise ConfigError("--seeds trains each seed on this host, and TF_CONFIG names a cluster: unset TF_CONFIG")
    unused: dict[str, str] = {}
    resolved = load_config(config, [*overrides, f"seed={max(wanted)}"], unused)
    if together:
        _require_together(resolved, options)
    folder = SeedsFolder(run_dir or Path("runs") / f"{config.stem}-seeds")
    folder.run((folder.seeds() or wanted)[0]).refuse_unused(unused, say_on_stderr)

    asked = ["--seeds", seeds, *([] if jobs is None else ["--jobs", str(jobs)]), *options]
    asked += ["--together"] if together else []
    again = command_to_resume("train", config, [*overrides, *asked], folder.path)
    if not together:
        train_each(resolved, wanted, folder, jobs, again, options)
        return

    def prepare() -> "Callable[[RunsView], SeedsOutcome]":
        from tfdqn.tuning.seeds import train_seeds_together

        return lambda view: train_seeds_together(resolved, wanted, folder, view, jobs)

    _train(resolved, wanted, folder, again, prepare)


def _require_together(config: Config, options: Sequence[str]) -> None:
    """Raises ConfigError for what can't be trained beside other seeds in one process."""
    from tfdqn.config.together_checks import require_together

    if options:
        raise ConfigError(f"{options[0]} records one run of its process: leave --together out")
    require_together(config)


def train_each(
    config: Config, seeds: Sequence[int], folder: SeedsFolder, jobs: int | None, again: str, options: Sequence[str] = ()
) -> None:
    """Trains each seed in a process of its own, and prints the results. `again` is the command to resume."""

    def prepare() -> "Callable[[RunsView], SeedsOutcome]":
        from tfdqn.tuning.seeds import train_seeds

        return lambda view: train_seeds(config, seeds, folder, view, jobs, options)

    _train(config, seeds, folder, again, prepare)


def _train(
    config: Config,
    seeds: Sequence[int],
    folder: SeedsFolder,
    again: str,
    prepare: "Callable[[], Callable[[RunsView], SeedsOutcome]]",
) -> None:
    """Trains seeds by what `prepare` returns, and prints the results; raises typer.Exit if one has failed."""
    with starting(again):
        from tfdqn.cli.runs_view import RunsView
        from tfdqn.training.prerequisites import require_trainable_runs

        train_seeds = prepare()
        require_trainable_runs(config)
    with RunsView() as view:
        outcome = train_seeds(view)
    with suppress(OSError):  # the terminal may have been closed
        paths = [*_curve(folder), ("summary", str(folder.summary_file))]
        print_whole(make_console(), rendered(outcome.summary, paths))
    if not outcome.is_over:
        view.say(f"{_how_it_was_left(folder, outcome.unsaved)}:\n{again}")
    if outcome.failed:
        count = f"{len(outcome.failed)} of {len(seeds)} seeds"
        say_on_stderr(f"tfdqn: {count} failed ({listed(outcome.failed)})")
        view.say(f"To try again:\n{again}")
        raise typer.Exit(FAILED_STATUS)


def _how_it_was_left(folder: SeedsFolder, unsaved: Sequence[str]) -> str:
    """What was saved of seeds that were stopped, and what the next command does, in words."""
    if any(folder.run(seed).has_checkpoint for seed in folder.seeds()):
        saved = f"Saved, but for {', '.join(unsaved)}." if unsaved else "Saved."
        return f"{saved} To resume"
    return f"{'Nothing was saved yet.' if unsaved else 'Stopped while starting: nothing was lost.'} To begin again"


def rendered(summary: SeedsSummary, paths: Iterable[tuple[str, str]] = ()) -> RenderableType:
    """Lays out the results of the seeds: a row for each, then statistics over all of them, then `paths`."""
    table = WholeTable("seed", "status", right=_FIGURES)
    for each in summary.seeds:
        cells = (
            str(each.seed),
            each.status,
            "" if each.final_return is None else f"{each.final_return:,.2f}",
            "" if each.best_return is None else f"{each.best_return:,.2f}",
            f"{each.env_steps:,}",
            f"{each.train_steps:,}",
            duration(each.seconds),
        )
        table.add_row(*cells)
    pairs = [*_statistics("final evaluation", summary.final), *_statistics("best evaluation", summary.best), *paths]
    return Group(table, Text(), pairs_table(pairs)) if pairs else table


def _statistics(name: str, found: SeedStatistics | None) -> Iterable[tuple[str, str]]:
    if found is None:
        return
    for kind, value, interval in (
        ("mean", found.mean, found.mean_interval),
        ("interquartile mean", found.interquartile_mean, found.interquartile_mean_interval),
    ):
        within = "" if interval is None else f" (95 % interval {interval[0]:,.2f} to {interval[1]:,.2f})"
        yield f"{name}, {kind}", f"{value:,.2f}{within} over {found.seeds} seed{'s' if found.seeds > 1 else ''}"


def _curve(folder: SeedsFolder) -> Iterable[tuple[str, str]]:
    """Draws the learning curve of all seeds, unless none has been evaluated yet; yields its name and path."""
    from tfdqn.reports.learning_curves import plot

    with suppress(RunDirError):
        yield "learning curve", str(plot([folder.path], folder.learning_curve))
