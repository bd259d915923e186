"""docs/jobs.md against the program: its commands are taken as they stand, and run; its keys and files exist."""

import json
import re
import shlex
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.commands import Tfdqn, tfdqn
from tests.support.tiny_runs import latest
from tfdqn.cli import main
from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.program import Program
from tfdqn.cluster.roles import Role
from tfdqn.cluster.topology import read_topology
from tfdqn.config import Config
from tfdqn.config.toml import flat, load
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.addresses import free_addresses

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
TINY = (
    *("task.num_envs=4", "network.hidden_units=[16]", "learner.batch_size=32", "learner.updates_per_call=10"),
    *("learner.xla=off", "replay.block_size=4", "replay.capacity=1000", "replay.min_size=100"),
    *("stop.env_steps=2000", "logging.tensorboard=false", "evaluation.interval_env_steps=500"),
    *("evaluation.episodes=1", "evaluation.confirm_episodes=0", "evaluation.final_episodes=1"),
)


def commands(verb: str) -> list[list[str]]:
    """The arguments of every command with that verb, as bash gives them."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    script = "tfdqn() { printf '%q ' \"$@\"; echo; }\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = [shlex.split(line) for line in done.stdout.splitlines()]
    return [command for command in found if command[0] == verb]


def cluster_file(folder: Path, addresses: Iterator[str] | None = None) -> Path:
    """The page's, with other addresses where some are given."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    if addresses is not None:
        text = re.sub(r"host-\w:\d+", lambda _: next(addresses), text)
    file = folder / "cluster.json"
    file.write_text(text)
    return file


def test_the_commands_that_launch_make_programs_of_every_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs: list[Program] = []

    class Taken(Exception):
        pass

    def supervisor(program: Program, *_: object) -> None:
        programs.append(program)
        raise Taken

    monkeypatch.setattr("tfdqn.launch.local_job.Supervisor", supervisor)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    for command in commands("launch"):
        with pytest.raises(Taken):
            main.main(command)
    first, second = (program.topology for program in programs)
    assert [first.count(role) for role in (Role.ACTOR, Role.REPLAY_SERVER, Role.EVALUATOR)] == [4, 2, 1]
    assert [second.count(role) for role in Role] == [1, 1, 1, 2, 4, 1]


def test_the_machines_of_a_platform_have_everybody_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[Program] = []

    class Taken(Exception):
        pass

    def supervisor(program: Program, *_: object) -> None:
        shares.append(program)
        raise Taken

    monkeypatch.setattr("tfdqn.launch.local_job.Supervisor", supervisor)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    machines = {"chief": ["a:2222"], "ps": ["b:2222"], "worker": ["c:2222", "d:2222"]}
    (command,) = commands("host")
    for pool, index in (("chief", 0), ("ps", 0), ("worker", 0), ("worker", 1), ("evaluator", 0)):
        task = {"cluster": machines, "task": {"type": pool, "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(task))
        with pytest.raises(Taken):
            main.main(command)
    assert [process.id.file_stem for process in shares[2].processes] == ["worker-0", "actor-0", "actor-2"]
    everybody = [process.id for share in shares for process in share.processes]
    assert sorted(everybody) == sorted(shares[0].topology.process_ids())
    assert len({share.topology.to_json() for share in shares}) == 1


def test_the_processes_of_many_hosts_are_those_of_the_cluster_file(tmp_path: Path) -> None:
    topology = read_topology(cluster_file(tmp_path))
    found = commands("run")
    for _, role, config, *rest in found:
        overrides = [each for each in rest if "=" in each]
        check_topology(load(ROOT / config, overrides), topology)
        assert Role(role) in Role
    tasks = [(each[1], int(each[each.index("--index") + 1]) if "--index" in each else 0) for each in found]
    assert sorted(tasks) == sorted((str(process_id.role), process_id.index) for process_id in topology.process_ids())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_command_for_one_host_is_run(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    first, second = commands("launch")
    endless = ["stop.env_steps=100000000" if key.startswith("stop.env_steps=") else key for key in TINY]
    with tfdqn(tmp_path, *first, *endless) as process:
        process.until(lambda: "learner 0: learning" in process.out, "learning", 240)
        address = json.loads((tmp_path / "runs/job/cluster.json").read_text())["learner"][0]
        for command in [*commands("inspect"), *commands("health")]:
            arguments = [re.sub(r"^[\d.]+:\d+$", address, each) for each in command]
            with tfdqn(tmp_path, *arguments) as asked:
                if "--watch" in arguments:
                    asked.until(lambda asked=asked: asked.out.count("environment steps") >= 2, "two looks")
                else:
                    assert asked.ended() == 0, asked.err
        process.send(2)
        assert process.ended() == 0, process.out
    with tfdqn(tmp_path, *second, *TINY) as process:
        assert process.ended_within(240), process.out
        assert process.ended() == 0, process.err
    for name in ("job", "async"):
        assert latest(tmp_path / "runs" / name).counters.train_steps > 0
    run = RunDir(tmp_path / "runs" / "async")
    assert json.loads(run.summary_file.read_text())["status"] == "finished"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_commands_for_many_hosts_are_a_job_in_any_order(tmp_path: Path) -> None:
    """All hosts are this one; the last command of the page is started first."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    cluster_file(tmp_path, iter(free_addresses(7)))
    processes: list[Tfdqn] = []
    with ExitStack() as stack:
        for command in reversed(commands("run")):
            processes.append(stack.enter_context(tfdqn(tmp_path, *command, *TINY)))
            time.sleep(0.2)
        for process in processes:
            assert process.ended_within(400), [each.out for each in processes]
            assert process.ended() == 0, (process.out, process.err)
    assert json.loads((tmp_path / "runs" / "shared" / "summary.json").read_text())["status"] == "finished"


def test_every_key_and_option_that_the_page_names_exists() -> None:
    from typer.main import get_command

    named = set(re.findall(r"`((?:acting|health|learner|replay)\.\w+)", PAGE))
    assert len(named) >= 6
    assert named <= set(flat(Config()))
    jobs = get_command(main.app).commands  # type: ignore[attr-defined]
    options = {each for verb in jobs.values() for param in verb.params for each in (*param.opts, *param.secondary_opts)}
    assert set(re.findall(r"(--[a-z][a-z-]+)", PAGE)) <= options


def test_the_picture_says_what_it_shows_in_the_others_language() -> None:
    tree = ElementTree.parse(ROOT / "docs" / "pictures" / "job.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    style = tree.findtext(f"{svg}style") or ""
    other = ElementTree.parse(ROOT / "docs" / "pictures" / "parallel-parameter-server.svg").getroot()
    palette = r"--\w+: #\w+"
    assert re.findall(palette, style) == re.findall(palette, other.findtext(f"{svg}style") or "")
    assert tree.findtext(f"{svg}title") and tree.findtext(f"{svg}desc")
    classes = {name for each in tree.iter() for name in each.get("class", "").split()}
    assert [name for name in classes if f".{name}" not in style] == []
