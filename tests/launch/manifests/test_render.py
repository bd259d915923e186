"""`tfdqn manifest`: the files in launchers/ are what it writes, and what it can't write it says in one line."""

import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import tfdqn
from tests.support.rendered_manifests import CONFIG, COUNTS, ROOT
from tfdqn import __version__
from tfdqn.cli import main
from tfdqn.config.toml import load
from tfdqn.launch.manifests.job_spec import HEADER, check_image, dns_label, to_yaml
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.tasks.suites import packages

SHORT = (
    *("task.num_envs=4", "network.hidden_units=[16]", "learner.batch_size=32", "learner.updates_per_call=10"),
    *("learner.xla=off", "replay.block_size=4", "replay.capacity=1000", "replay.min_size=100"),
    *("stop.env_steps=2000", "logging.tensorboard=false", "evaluation.interval_env_steps=500"),
    *("evaluation.episodes=1", "evaluation.confirm_episodes=0", "evaluation.final_episodes=1"),
)
LAUNCHERS = ROOT / "launchers" / CONFIG.stem


def files_below(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("target", Platform)
def test_the_launchers_are_what_the_command_writes(
    target: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    # What is served there is to be there before the job's end.
    changes = ("export.on_best=true",) if target is Platform.COMPOSE else ()
    assert main.main(["manifest", target, f"configs/{CONFIG.name}", *changes, *COUNTS]) == 0
    written = tmp_path / "launchers" / CONFIG.stem / target
    said = [str((tmp_path / line).relative_to(written)) for line in capsys.readouterr().out.split()]
    files = files_below(written)
    assert files == files_below(LAUNCHERS / target) == sorted(said)
    for name in files:
        assert (written / name).read_text() == (LAUNCHERS / target / name).read_text(), name


def test_a_reader_of_the_names_that_goes_away_leaves_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(line: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "the pipe is closed")

    monkeypatch.setattr("tfdqn.cli.jobs.typer.echo", gone)
    with pytest.raises(SystemExit):
        main.main(["manifest", "compose", str(CONFIG), "export.on_best=true", *COUNTS, "-o", str(tmp_path)])
    assert files_below(tmp_path) == files_below(LAUNCHERS / "compose")


def test_the_page_s_commands_write_the_launchers_or_say_that_nobody_has_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    commands = "".join(re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)).splitlines()
    written = set()
    for command in commands:
        if command.startswith("tfdqn manifest "):
            words = shlex.split(command)
            assert main.main(words[1:]) == 0
            written.add(words[2])
        elif not command.startswith(("tfdqn train ", "tfdqn launch ")):  # run by the long test
            assert command.endswith("# not run here") or command.startswith("cd launchers/"), command
            if command.startswith("cd"):
                assert (ROOT / command.split()[1]).is_dir()
    assert written == set(Platform)
    for file in (tmp_path / "launchers").rglob("*.*"):
        assert file.read_bytes() == (ROOT / file.relative_to(tmp_path)).read_bytes()


def test_the_page_builds_the_images_that_the_manifests_name() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    built = re.findall(r"^docker build --tag (\S+) --build-arg VERSION=(\S+)", page, flags=re.MULTILINE)
    assert built == [(f"tfdqn:{__version__}{variant}", __version__) for variant in ("", "-cuda")]
    pushed = re.findall(r"REGISTRY/(\S+?)[`\s]", page)
    assert set(pushed) == {f"tfdqn:{__version__}"}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_page_s_commands_for_one_host_are_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    commands = re.findall(r"^tfdqn ((?:train|launch) .*)$", page, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["train", "launch"]
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for command in commands:
        words = shlex.split(command)
        with tfdqn(tmp_path, *words, *SHORT) as process:
            assert process.ended_within(400), process.out
            assert process.ended() == 0, process.err
        assert (tmp_path / "runs" / f"{Path(words[1]).stem}-seed1" / "summary.json").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nomad", str(CONFIG)], "tfdqn: Invalid value for 'PLATFORM': 'nomad' is not "),
        (
            ["compose", str(ROOT / "configs/cartpole.toml"), "replay.backend=in_graph"],
            'tfdqn: replay.backend = "in_graph" is within one',
        ),
        (["compose", str(CONFIG), "--actors", "0"], "tfdqn: Invalid value for '--actors': 0 is not in the range"),
        *(
            (
                ["vertex", str(CONFIG), "--gpus", count],
                f"tfdqn: --gpus {count}: on Vertex AI a machine can have 1, 2, 4 ",
            )
            for count in ("3", "8")
        ),
        *(
            (["compose", str(CONFIG), "--image", name], f'tfdqn: --image "{name}": an image is HOST/PATH/NAME:TAG')
            for name in ("a b", "UPPER/x:1", "x:", "http://x/y")
        ),
        (["compose", str(CONFIG), "task.id=CartPoel-v1"], 'tfdqn: unknown task "CartPoel-v1"; the nearest are CartP'),
        (["compose", "configs/none.toml"], "tfdqn: configs/none.toml: there is no such file"),
        (["compose", str(ROOT / "configs/cartpole.toml"), "--workers", "2"], "tfdqn: --workers 2: learner.strat"),
    ],
)
def test_what_can_t_be_written_is_one_line(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["manifest", *arguments, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(line)
    assert not (tmp_path / "out").exists()


def test_a_task_whose_package_only_the_image_has_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "is_installed", lambda package: False)
    folder = tmp_path / "out"
    assert main.main(["manifest", "compose", str(CONFIG), "task.id=TradingEnv", "--output", str(folder)]) == 0
    assert (folder / "compose.yaml").exists()


@pytest.mark.parametrize(
    ("platform", "where"),
    [
        ("compose", f"the image tfdqn:{__version__}-cuda must contain it (docs/image.md)"),
        ("slurm", "submit from its folder, or install it on every node"),
    ],
)
def test_a_module_of_the_user_s_own_must_be_where_it_runs(
    platform: str, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "task.id=tests.support.toy_environments:Catch-v0"
    assert main.main(["manifest", platform, str(CONFIG), own, "--gpus", "1", "--output", str(tmp_path)]) == 0
    line = capsys.readouterr().err.splitlines()[0]
    assert line == f"warning: task.id needs the module tests.support.toy_environments: {where}"

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    assert main.main(["manifest", platform, str(CONFIG), own, "--output", str(tmp_path / "other")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "warning" not in said.err and said.err.startswith(f"tfdqn: {tmp_path / 'other'} holds")


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ((), f"tfdqn:{__version__}"),
        (("--gpus", "1"), f"tfdqn:{__version__}-cuda"),
        (("--gpus", "1", "--image", "registry/mine:1"), "registry/mine:1"),
    ],
)
def test_the_image_is_the_one_that_is_built_for_what_is_asked(
    options: tuple[str, ...], image: str, tmp_path: Path
) -> None:
    assert main.main(["manifest", "compose", str(CONFIG), *options, "--output", str(tmp_path)]) == 0
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
    assert {each["image"] for name, each in services.items() if name != "serving"} == {image}


@pytest.mark.parametrize("there", Platform)
def test_no_other_platform_s_files_are_written_among_a_platform_s(
    there: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    arguments = (str(CONFIG), *COUNTS, "--output", str(folder))
    assert main.main(["manifest", there, *arguments]) == 0
    before = {file: file.read_bytes() for file in folder.rglob("*.*")}
    for other in set(Platform) - {there}:
        capsys.readouterr()
        assert main.main(["manifest", other, *arguments]) == 2
        assert capsys.readouterr().err == (
            f"tfdqn: {folder} has the files of {there}, which those of {other} would be mixed with: "
            "give another folder\n"
        )
    assert {file: file.read_bytes() for file in folder.rglob("*.*")} == before
    assert main.main(["manifest", there, *arguments]) == 0


@pytest.mark.parametrize("name", ["compose.yaml", "thesis.tex"])
def test_nothing_is_written_among_the_user_s_own_files(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("of the user's own")
    for platform in ("slurm", "compose"):
        assert main.main(["manifest", platform, str(CONFIG), *COUNTS, "--output", str(tmp_path)]) == 2
        assert capsys.readouterr().err == (
            f"tfdqn: {tmp_path} holds other files, such as {name}, and nothing of `tfdqn manifest {platform}`: "
            "give an empty or a new folder\n"
        )
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {name: "of the user's own"}


def test_a_folder_that_can_t_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main.main(["manifest", "compose", str(CONFIG), "--output", str(tmp_path / "file" / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_needs_no_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from tfdqn.cli.main import main; "
        f"main(['manifest', 'compose', {str(CONFIG)!r}, '-o', {str(tmp_path)!r}]); "
        "print({'tensorflow', 'reverb', 'grpc'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("stem", "label"),
    [
        ("cartpole-parameter-server", "cartpole-parameter-server"),
        ("my_config", "my-config"),
        ("é", "job-4a9955"),
        ("ça va", "a-va-a27f05"),
        ("a" * 31 + ".b" * 20, "a" * 25 + "-517fce"),
        ("2048" + "a" * 28, "job-2048" + "a" * 17 + "-f97d3e"),
    ],
)
def test_a_job_s_name_is_one_that_networks_allow(stem: str, label: str) -> None:
    assert dns_label(stem) == label


@given(st.text())
def test_every_name_of_a_job_leaves_room_for_roles_and_indices(stem: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", dns_label(stem))


@pytest.mark.parametrize("text", ["1e3", "0o17", "y", "N", "1.", "8.0", "yes", "null", "0x1f", "12", "2001-01-01", "~"])
def test_text_stays_text_for_every_reader_of_the_yaml(text: str) -> None:
    """Go's readers, and so `kubectl`, take more for numbers and truths than Python's."""
    assert to_yaml({"name": text}, header="") == f"name: '{text}'\n"


def test_names_that_networks_do_not_allow_are_jobs_of_their_own() -> None:
    stems = ["策略", "模型", "策略 1", "模型 1", "Größe", "Grüße", "---", "___", "\udce9"]
    stems += ["grid-big", "Grid_Big", "GRID-BIG", "grid big", "grid.big", "grid--big", "(grid-big)", "2048", "job-2048"]
    labels = {dns_label(stem) for stem in stems}
    assert len(labels) == len(stems)
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", label) for label in labels)


@pytest.mark.parametrize(
    "name", ["x", "tfdqn:0.1.0-cuda", "host.example:5000/team/x_y/tfdqn:v1", "here:5000/x", "a/b@sha256:" + "0" * 64]
)
def test_images_may_be_named_as_registries_name_them(name: str) -> None:
    check_image(name)


def test_what_a_container_reads_it_may_read_and_what_is_no_longer_written_goes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert main.main(["manifest", "kubernetes", str(CONFIG), "--output", str(tmp_path)]) == 0
        for name in ("mine.yaml", "overlays/mine/kustomization.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("of the user's own")
        (tmp_path / "evaluator.yaml").write_text(HEADER)  # as an earlier version wrote it
        assert main.main(["manifest", "kubernetes", str(CONFIG), "--output", str(tmp_path), "--no-evaluator"]) == 0
    finally:
        os.umask(before)
    mine = {file for file in tmp_path.rglob("*.yaml") if file.read_text() == "of the user's own"}
    assert {str(file.relative_to(tmp_path)) for file in mine} == {"mine.yaml", "overlays/mine/kustomization.yaml"}
    assert not list(tmp_path.rglob("evaluator.yaml")) and (tmp_path / "base" / "actor.yaml").exists()
    assert {file.stat().st_mode & 0o777 for file in set(tmp_path.rglob("*.yaml")) - mine} == {0o644}


def test_processes_that_are_given_gpus_refuse_to_learn_without(tmp_path: Path) -> None:
    assert main.main(["manifest", "compose", str(CONFIG), "--output", str(tmp_path), "--gpus", "2"]) == 0
    assert load(tmp_path / "config.toml").learner.min_gpus == 2
