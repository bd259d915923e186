"""The verb `tune`, which searches for the best values of configuration keys."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfdqn.cli.arguments import (
    ConfigFile,
    Overrides,
    link_if_needed,
    load_config,
    require_supported_platform,
    say_on_stderr,
)
from tfdqn.cli.default_directories import default_study_folder
from tfdqn.cli.phase_line import starting
from tfdqn.cli.resuming import resumption_is_said
from tfdqn.config import Config
from tfdqn.errors import ConfigError, counted, listed
from tfdqn.storage.locks import holder_of
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.system.processors import visible_gpus
from tfdqn.system.shell_commands import as_argument, own_command
from tfdqn.system.signals import end_at_once, interruptions
from tfdqn.tuning.study_storage import Pruner, require_optuna, shown_url, storage_failures_as_study_error
from tfdqn.tuning.trial_records import Trial, TrialState, best_of, total_evaluations

if TYPE_CHECKING:
    from tfdqn.tuning.study import Settings, Study
    from tfdqn.tuning.study_folder import Request, StudyFolder
    from tfdqn.tuning.trial_runs import Template

verbs = typer.Typer()

Space = Annotated[
    Path, typer.Argument(metavar="SPACE", help="a TOML file of keys and the ranges to search, as in configs/spaces")
]
Trials = Annotated[int, typer.Option(min=1, metavar="N", help="number of trials in the study, earlier ones included")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="J", help="number of trials to run in parallel", show_default="from the number of cores"
    ),
]
StudyDirectory = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="the study's folder", show_default="runs/<CONFIG>-tune", callback=link_if_needed),
]
HowToPrune = Annotated[Pruner, typer.Option(help="how to end unpromising trials early, judged by their evaluations")]
PruneAfter = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="K", help="number of evaluations before a trial may be pruned", show_default="a quarter of all"
    ),
]
FreshSeeds = Annotated[
    int, typer.Option(min=0, metavar="S", help="number of fresh seeds to train the best configuration with afterwards")
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="database that several hosts share", show_default="a journal in the study's folder"
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="name of the study in the database", show_default="the name of its folder"),
]


@verbs.command()
def tune(
    config: ConfigFile,
    space: Space,
    overrides: Overrides = None,
    trials: Trials = 40,
    jobs: Jobs = None,
    study_dir: StudyDirectory = None,
    pruner: HowToPrune = Pruner.median,
    prune_after: PruneAfter = None,
    fresh_seeds: FreshSeeds = 3,
    storage: Storage = None,
    study_name: StudyName = None,
) -> None:
    """Search for the best values of configuration keys.

    Each trial is a run. An existing study is resumed.
    """
    require_supported_platform()
    require_optuna("tfdqn tune")
    from tfdqn.tuning.study import Settings
    from tfdqn.tuning.study_folder import Request, StudyFolder

    given = overrides or []
    if study_name is not None and storage is None:
        raise ConfigError(f"--study-name {study_name} is a name in a database: give its --storage, too")
    folder = StudyFolder(study_dir or default_study_folder(config, say_on_stderr))
    options: list[str] = []
    for name, value in (
        ("--trials", trials),
        ("--jobs", jobs),
        ("--pruner", pruner),
        ("--prune-after", prune_after),
        ("--fresh-seeds", fresh_seeds),
        ("--storage", None if storage is None else shown_url(storage)),
        ("--study-name", study_name),
    ):
        options += [] if value is None else [name, str(value)]
    again = own_command(
        ["tune", as_argument(config), as_argument(space), *given, "--study-dir", str(folder.path), *options]
    )
    paths = os.path.abspath(config), os.path.abspath(space)
    request = Request(*paths, tuple(given), tuple(options), trials, fresh_seeds)

    def read() -> "tuple[Config, Template]":
        return _read(config, space, given, prune_after, fresh_seeds, is_new=not folder.identity_file.exists())

    with storage_failures_as_study_error(folder.path, again):
        _search(read, folder, Settings(storage, study_name, pruner, prune_after), request, jobs, again)


def _read(
    config: Path, space: Path, given: list[str], prune_after: int | None, fresh_seeds: int, is_new: bool
) -> "tuple[Config, Template]":
    """Returns the configuration that all trials start from, and what makes their own of it. Raises ConfigError.

    Imports nothing slow, unless the configuration names a module that does.
    """
    from tfdqn.config import toml
    from tfdqn.tuning.search_space import load_space
    from tfdqn.tuning.trial_runs import Template

    base = _base(config, space, given)
    ranges = load_space(space, base, [each.partition("=")[0].strip() for each in given])
    _refuse_what_cannot_be_searched(base, prune_after, fresh_seeds)
    if is_new:  # a study of before may go on
        ranges.refuse_keys_without_effect(base)
    return base, Template(toml.content(config), str(config), given, ranges)


def _base(config: Path, space: Path, given: list[str]) -> Config:
    """Loads the configuration that all trials start from. Raises ConfigError."""
    from tfdqn.tuning.search_space import is_space

    try:
        return load_config(config, given)
    except ConfigError:
        if is_space(config):
            raise ConfigError(
                f"{config} is a space, not a configuration: the configuration comes first, then the space: "
                f"tfdqn tune {as_argument(space)} {as_argument(config)}"
            ) from None
        raise


def _search(
    read: Callable[[], "tuple[Config, Template]"],
    folder: "StudyFolder",
    settings: "Settings",
    request: "Request",
    jobs: int | None,
    again: str,
) -> None:
    """Runs the trials, prints the best one, trains its configuration with fresh seeds, and says what may come next."""
    with ExitStack() as working:
        with starting(again):
            base, template = read()  # what is wrong is said at once, before the imports
            from tfdqn.cli.runs_view import TrialsView
            from tfdqn.training.prerequisites import require_trainable_runs
            from tfdqn.tuning.study import Study
            from tfdqn.tuning.trial_runs import search, write_best

            require_trainable_runs(base)
            if (first := template.first()) is not None and first.task != base.task:
                require_trainable_runs(first)
            study = Study(folder, base, template.space, settings)
            working.enter_context(folder.worked_on())
            folder.note(request)
            visible_gpus()  # may take seconds; later calls are answered at once
        with (
            resumption_is_said(again, lambda: f"To go on:\n{again}"),
            TrialsView(request.trials, request.fresh_seeds) as view,
        ):
            is_over = search(study, template, request.trials, view, jobs)
            # During an import a Ctrl-C would end the process without the command that goes on.
            with interruptions(end_at_once) as interrupted:
                trials = study.trials()
                best = best_of(trials)
                tuned = None if best is None else write_best(study, template, best)
                has_page = _write_page(study, view.say)
                is_over = is_over and not interrupted()
        _print(study, best, has_page)
        has_trained = True
        with _failures_said(study, trials):
            if is_over and best is not None and tuned is not None and request.fresh_seeds:
                seeds = SeedsFolder(study.folder.seeds_of_best(best.number))
                has_trained = _train_with_fresh_seeds(tuned, best, seeds, request.fresh_seeds, jobs, again)
        if not is_over:
            is_saved = best is not None or study.folder.has_checkpoint
            typer.echo(f"{'Saved. To go on' if is_saved else 'Nothing was saved yet. To begin again'}:\n{again}")
        elif best is not None and has_trained:
            train = ["train", as_argument(folder.best_config_file), "--run-dir", f"{folder.path}-best"]
            typer.echo(f"To train the best configuration:\n{own_command(train)}")


def _refuse_what_cannot_be_searched(config: Config, prune_after: int | None, fresh_seeds: int) -> None:
    """Raises ConfigError if `TF_CONFIG` names a cluster, and for too large a `prune_after` or `fresh_seeds`."""
    from tfdqn.cluster.environment import cluster_of_environment
    from tfdqn.config import toml

    if cluster_of_environment() is not None:
        raise ConfigError("tune runs its trials on this host, and TF_CONFIG names a cluster: unset TF_CONFIG")
    toml.from_mapping({"seed": config.seed + fresh_seeds}, origin=f"--fresh-seeds {fresh_seeds}")  # the last of them
    if prune_after is not None and prune_after > (evaluations := total_evaluations(config)):
        raise ConfigError(
            f"--prune-after {prune_after}: a trial has {evaluations} evaluations, by stop.env_steps = "
            f"{config.stop.env_steps} and evaluation.interval_env_steps = {config.evaluation.interval_env_steps}"
        )


def _write_page(study: "Study", say: Callable[[str], None]) -> bool:
    """Writes the study's page; a failure is one warning, since the page is not all that the search has found.

    Returns whether it was written.
    """
    from tfdqn.reports.failures import failures_are_warnings
    from tfdqn.tuning.study_page import write_page

    with failures_are_warnings("the page is not written", say):
        write_page(study)
        return True
    return False


def _print(study: "Study", best: Trial | None, has_page: bool) -> None:
    """Prints the best trial, and the paths of what the study wrote."""
    from tfdqn.cli.study_view import best_rows
    from tfdqn.cli.tables import pairs_table, print_whole
    from tfdqn.cli.terminal import make_console

    rows: list[tuple[str, str]] = []
    if best is not None:
        rows += best_rows(best.number, best.score, best.values, study.folder.trial(best.number).path)
        rows += [("its configuration", str(study.folder.best_config_file))]
    if has_page:
        rows += [("page", str(study.folder.page))]
    print_whole(make_console(), pairs_table(rows))


@contextmanager
def _failures_said(study: "Study", trials: Sequence[Trial]) -> Iterator[None]:
    """Says at the end of the block, however it ends, which trials have failed."""

    def say() -> None:
        if failed := [f"trial {each.number}" for each in trials if each.state is TrialState.FAILED]:
            why = own_command(["inspect", as_argument(study.folder.path)])
            typer.echo(f"{len(failed)} of {counted(len(trials), 'trial')} failed ({listed(failed)}); why: {why}")

    try:
        yield
    except BaseException:
        with suppress(OSError):  # the terminal is closed, which must not hide what ends the block
            say()
        raise
    say()


def _train_with_fresh_seeds(
    config: Config, best: Trial, folder: SeedsFolder, count: int, jobs: int | None, again: str
) -> bool:
    """Trains the best trial's configuration with fresh seeds: its own score is biased, as the best of many.

    Returns False if the user has asked to stop before.
    """
    if (holder := holder_of(folder.lock_file)) is not None:
        typer.echo(f"{holder} trains the best with other seeds, in {folder.path}")
        return True
    from tfdqn.cli.seeds import train_each

    seeds = [config.seed + index for index in range(1, count + 1)]
    typer.echo(f"trial {best.number} was the best with seed {config.seed}; its configuration with others:")
    return train_each(config, seeds, folder, jobs, again)
