"""The verb `tasks`, which lists the installed tasks or checks whether one can be trained on."""

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Annotated

import msgspec
import typer

from tfdqn.cli.arguments import say_on_stderr
from tfdqn.config import Config, Health
from tfdqn.errors import TaskError, UserError
from tfdqn.system.output import others_print_to_stderr

tasks = typer.Typer()


@tasks.command("tasks")
def list_or_check(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATTERN|KEY=VALUE...]",
            help="list only tasks whose id contains PATTERN or, with wildcards such as 'Cart*', whose whole id matches "
            "it; case is ignored. With --check: task keys to override, such as task.num_envs=4",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="ID",
            help="take random actions in a task, and report whether it can be trained on",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="with --check: print JSON")] = False,
) -> None:
    """List the installed tasks, or check that one is trainable."""
    if check is not None:
        _check_task(check, arguments or (), as_json)
        return
    if as_json or len(arguments or ()) > 1:
        raise UserError(f"{'--json' if as_json else 'more than one pattern'} is only for --check ID")
    _list_tasks(arguments[0] if arguments else "")


def _list_tasks(pattern: str) -> None:
    from tfdqn.cli import terminal
    from tfdqn.coordination.watchdog import Watchdog
    from tfdqn.tasks.registry import installed_tasks

    wanted = pattern.lower()
    with Watchdog("the list", Health(), say_on_stderr, stalled="ended", is_logged=False) as watchdog:
        watchdog.state = "making an environment of each task"
        installed = installed_tasks()
    found = [each for each in installed if wanted in each.id.lower() or fnmatch(each.id.lower(), wanted)]
    if not found:
        raise UserError(f'no installed task has "{pattern}" in its id')
    terminal.print_tasks(found)


def _check_task(task_id: str, overrides: Sequence[str], as_json: bool) -> None:
    """Checks a task and prints the findings, each failure once. Raises TaskError if training can't run."""
    from tfdqn.cli.task_check_view import CheckProgress, print_check
    from tfdqn.cli.terminal import make_console, require_reader
    from tfdqn.config import Task, toml

    config = toml.with_changed_task(Config(task=Task(id=task_id)), overrides, "--check")
    from tfdqn.tasks.checking.check_process import check_in_process  # late: imports gymnasium

    if as_json:
        with others_print_to_stderr(), check_in_process(config.task) as result:
            found = result(lambda *_: None, say_on_stderr)
        typer.echo(msgspec.json.encode(found))
        for line in found.failures:
            say_on_stderr(f"tfdqn: {line}")
        raise typer.Exit(0 if found.can_train else 2)
    console = make_console()
    with check_in_process(config.task) as result, CheckProgress(console) as progress:
        found = result(progress.tell, progress.say)
    failed = [each for each in found.findings if each.verdict == "no"]
    if len(failed) == len(found.findings):  # the task could not even be made
        raise TaskError(found.failures[0])
    print_check(found, console)
    if failed:
        rows = " and ".join(f'"{each.about}"' for each in failed)
        raise TaskError(f"{found.task} can't be trained on: see {rows} above")
    require_reader(console)
