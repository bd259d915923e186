"""`train_one`: trains one run behind a progress bar, or does this process's share of it, for `tfdqn train`."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from tfdqn.cli.arguments import command_to_resume, refuse_contradiction, say_on_stderr
from tfdqn.cli.default_directories import default_run_dir
from tfdqn.cli.resuming import overrides_beyond, resumption_is_said, to_go_on
from tfdqn.cluster.tf_config import VARIABLE, Cluster
from tfdqn.config import Config
from tfdqn.config.headline import headline
from tfdqn.errors import FaultyTaskError, NotFiniteError, RunDirError
from tfdqn.records import Summary
from tfdqn.storage.locks import release_all
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.signals import end_at_once, end_start, interruptions


def train_one(config: Path, overrides: Sequence[str], run_dir: Path | None, profile: bool) -> None:
    """Trains one run; if `TF_CONFIG` makes this process part of a cluster, does this process's share of it."""
    from tfdqn.cluster.checks import cluster_for, cluster_keys, cluster_overrides, doubt, given_keys, unused_values
    from tfdqn.cluster.environment import cluster_of_environment
    from tfdqn.config import toml

    named = cluster_of_environment()
    for key, value in cluster_keys(named).items():
        refuse_contradiction(VARIABLE, key, value, overrides)
    toml.require_once(overrides)
    unused: dict[str, str] = {}
    file = toml.values_in(config)
    given, by_cluster = [*overrides, *cluster_overrides(named)], dict.fromkeys(cluster_keys(named), VARIABLE)
    resolved = toml.from_mapping(file, given, str(config), say_on_stderr, unused, options=by_cluster)
    cluster = cluster_for(resolved, named)
    for line in [] if cluster is None else [doubt(cluster), *unused_values(file, cluster)]:
        if line:
            typer.echo(f"warning: {line}")
    if cluster is not None and not cluster.is_chief:
        _take_part(resolved, cluster)
        return
    path = run_dir or default_run_dir(config, resolved, say_on_stderr)
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
        last = f"{'Saved' if run.has_checkpoint else 'Nothing was saved yet'}. {to_go_on(run, again)}"
    else:
        further = command_to_resume("train", config, overrides_beyond(overrides, summary, resolved, run), path)
        last = f"To resume beyond this:\n{further}"
    with suppress(OSError):  # the terminal may have been closed
        typer.echo(last)


def _trained(config: Config, cluster: Cluster | None, run: RunDir, again: str, profile: bool) -> Summary:
    """Trains behind a progress bar and prints the summary. `again` is the command to resume."""
    from tfdqn.cli import terminal
    from tfdqn.cluster.local_workers import fork_server_of_workers

    progress = terminal.TrainingProgress()

    def say_stopped() -> None:
        release_all()
        progress.close()
        progress.say(f"Stopped while starting: nothing was lost. {to_go_on(run, again)}")

    def acknowledge() -> None:
        if progress.has_begun:
            progress.stopping()
        else:
            end_start(say_stopped)

    said = resumption_is_said(again, lambda: to_go_on(run, again))
    with said, interruptions(end_at_once, acknowledge) as interrupted, progress:
        from tfdqn.training.prerequisites import require_trainable

        require_trainable(config)
        progress.say(headline(config))
        with fork_server_of_workers(config, cluster, begins=True) as server:
            # Imported late: this is most of the start-up time, and by now something is shown and signals are handled.
            from tfdqn.training.train import train_checked

            try:
                summary = train_checked(config, cluster, run, progress.show, progress.say, profile, interrupted, server)
            except FaultyTaskError:
                raise  # the task is to be corrected, not a key
            except NotFiniteError as error:
                if run.has_checkpoint:  # without one, the same command would meet the same error
                    error.add_note(to_go_on(run, again))
                raise
    with suppress(OSError):  # the terminal may have been closed
        terminal.print_summary(summary)
    return summary


def _take_part(config: Config, cluster: Cluster) -> None:
    """Serves the chief, in a process to which `TF_CONFIG` gives another part than the chief's."""
    from tfdqn.roles import entry

    typer.echo(f"{cluster.name}: working for the chief at {cluster.chief_host}")
    entry.serve_chief(config, cluster, typer.echo)
