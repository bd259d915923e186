"""launchers/docker.sh, run as it stands, with stand-ins for Docker and for NVIDIA's tools."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.rendered_manifests import ROOT
from tfdqn.cli import main

RECORD = 'printf "%q " "$@" >>"$RECORDED"; echo >>"$RECORDED"\n'
DOCKER = (
    'if [ "$1" = version ]; then echo 28.2.2; exit; fi\n'
    'if [ "$1" = info ]; then echo \'{"runc":{},"nvidia":{}}\'; exit; fi\n' + RECORD
)
MIG = 'echo "  MIG 3g.40gb     Device  0: (UUID: MIG-0)"\n'
NVIDIA_SMI = 'for i in 0 1; do echo "GPU $i: NVIDIA H100 (UUID: GPU-$i)"; done\n'
CONFIG = ROOT / "configs" / "cartpole.toml"


class Host:
    """A machine that has only what it is given, beside what every script needs."""

    def __init__(self, folder: Path, **programs: str):
        self.folder, self.recorded = folder, folder / "recorded"
        self._programs = folder / "bin"
        self._programs.mkdir()
        for tool in ("bash", "id", "sed", "git", "grep", "mkdir", "dirname", "basename"):
            (self._programs / tool).symlink_to(next(Path(p) / tool for p in PATHS if (Path(p) / tool).exists()))
        for name, text in programs.items():
            path = self._programs / name.replace("_", "-")
            path.write_text(f"#!/bin/bash\n{text}")
            path.chmod(0o755)

    def launch(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self._programs), "RECORDED": str(self.recorded), **variables}
        return subprocess.run(
            [str(ROOT / "launchers" / "docker.sh"), *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )

    def asked(self) -> list[list[str]]:
        """What Docker was asked for."""
        return [shlex.split(line) for line in self.recorded.read_text().splitlines()]


PATHS = os.environ["PATH"].split(":")


def test_it_builds_with_cuda_and_trains_on_every_gpu(tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER, nvidia_smi=NVIDIA_SMI)
    done = host.launch(str(CONFIG), "seed=2")
    assert (done.returncode, done.stderr) == (0, "")
    build, run = host.asked()
    assert build[0] == "build" and "EXTRAS=cuda" in build and build[-1] == str(ROOT)
    image = build[build.index("--tag") + 1]
    options, arguments = run[: run.index(image)], run[run.index(image) + 1 :]
    assert options[:2] == ["run", "--rm"]
    for option, value in (
        ("--gpus", "all"),
        ("--user", f"{os.getuid()}:{os.getgid()}"),
        ("--shm-size", "1g"),
        ("--env", "CUDA_CACHE_PATH=/workspace/runs/.cuda"),
        ("--volume", f"{tmp_path / 'runs'}:/workspace/runs"),
    ):
        assert value in options and options[options.index(value) - 1] == option
    assert "--read-only" in options
    assert f"{CONFIG}:/workspace/configs/cartpole.toml:ro" in options
    assert (tmp_path / "runs").stat().st_uid == os.getuid()
    assert arguments[:2] == ["train", "configs/cartpole.toml"]
    assert main.main(["config", str(CONFIG), *arguments[2:]]) == 0
    assert arguments[2:] == ["learner.strategy=mirrored", "learner.logical_devices=0", "learner.min_gpus=2", "seed=2"]


@pytest.mark.parametrize("listed", ['echo "GPU 0: NVIDIA H100 (UUID: GPU-0)"\n', NVIDIA_SMI + MIG])
def test_on_one_gpu_or_one_instance_nothing_is_divided(listed: str, tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER, nvidia_smi=listed)
    assert host.launch(str(CONFIG)).returncode == 0
    assert host.asked()[-1][-3:] == ["learner.strategy=local", "learner.logical_devices=0", "learner.min_gpus=1"]


def test_keys_that_are_given_take_the_place_of_its_own(tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER, nvidia_smi=NVIDIA_SMI)
    assert host.launch(str(CONFIG), "learner.strategy=averaging", "learner.min_gpus=1").returncode == 0
    arguments = host.asked()[-1][-3:]
    assert arguments == ["learner.logical_devices=0", "learner.strategy=averaging", "learner.min_gpus=1"]


def test_without_gpus_the_configuration_says_how_to_learn(tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER)
    done = host.launch(str(CONFIG), GPUS="none", RUNS="elsewhere", NETWORK="mine")
    assert (done.returncode, done.stderr) == (0, "")
    build, run = host.asked()
    assert "EXTRAS=" in build
    assert "--gpus" not in run and "--env" not in run
    assert f"{tmp_path / 'elsewhere'}:/workspace/runs" in run
    assert run[run.index("--network") + 1] == "mine"
    assert run[-2:] == ["train", "configs/cartpole.toml"]


def test_an_image_that_is_named_is_not_built(tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER)
    assert host.launch(str(CONFIG), GPUS="none", IMAGE="registry/tfdqn:1").returncode == 0
    ((verb, *rest),) = host.asked()
    assert verb == "run" and "registry/tfdqn:1" in rest


def test_paths_are_those_of_where_it_is_called_also_with_spaces_and_a_cdpath(tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER)
    (tmp_path / "my configs").mkdir()
    (tmp_path / "my configs" / "my run.toml").write_bytes(CONFIG.read_bytes())
    for name in ("my runs", "my configs"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
    there = {"RUNS": "my runs", "CDPATH": str(tmp_path / "elsewhere")}
    done = host.launch("my configs/my run.toml", GPUS="none", IMAGE="mine", **there)
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = host.asked()
    assert f"{tmp_path / 'my runs'}:/workspace/runs" in run
    assert f"{tmp_path / 'my configs' / 'my run.toml'}:/workspace/configs/my run.toml:ro" in run
    assert run[-2:] == ["train", "configs/my run.toml"]


def test_the_status_is_that_of_the_container(tmp_path: Path) -> None:
    host = Host(tmp_path, docker=DOCKER + '[ "$1" = build ] || exit 75\n')
    assert host.launch(str(CONFIG), GPUS="none").returncode == 75


DENIED = "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1\n"
STOPPED = "echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2; exit 1\n"
NO_RUNTIME = "echo 28.2.2\n"
NO_DRIVER = "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9\n"


@pytest.mark.parametrize(
    ("programs", "arguments", "variables", "line"),
    [
        ({}, [str(CONFIG)], {}, "there is no docker command"),
        ({"docker": DENIED}, [str(CONFIG)], {}, "you may not use Docker here: ask to be put in the group docker"),
        ({"docker": STOPPED}, [str(CONFIG)], {}, "Docker's engine does not answer: Cannot connect"),
        ({"docker": DOCKER}, [str(CONFIG)], {}, "there is no nvidia-smi: install NVIDIA's driver, or say GPUS=none"),
        ({"docker": DOCKER, "nvidia_smi": NO_DRIVER}, [str(CONFIG)], {}, "NVIDIA's driver does not answer: NVIDIA-SMI"),
        ({"docker": DOCKER, "nvidia_smi": ""}, [str(CONFIG)], {}, "NVIDIA's driver finds no GPU: it lists none"),
        (
            {"docker": NO_RUNTIME, "nvidia_smi": NVIDIA_SMI},
            [str(CONFIG)],
            {},
            "Docker can't hand GPUs on: install NVIDIA's Container Toolkit",
        ),
        ({"docker": DOCKER}, [], {}, "which configuration?"),
        ({"docker": DOCKER}, ["none.toml"], {}, "there is no configuration none.toml"),
        ({"docker": DOCKER}, [str(CONFIG)], {"GPUS": "2"}, "GPUS is 'all' or 'none', not '2'"),
        (
            {"docker": DOCKER},
            [str(CONFIG)],
            {"GPUS": "none", "RUNS": "/dev/null/x"},
            "/dev/null/x can't be made: RUNS is",
        ),
        ({"docker": DOCKER}, [str(CONFIG)], {"GPUS": "none", "RUNS": "a:b"}, "Docker mounts no path with a colon"),
    ],
)
def test_what_is_missing_is_said_in_one_line_and_nothing_is_begun(
    tmp_path: Path, programs: dict[str, str], arguments: list[str], variables: dict[str, str], line: str
) -> None:
    host = Host(tmp_path, **programs)
    done = host.launch(*arguments, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"docker.sh: {line}")
    assert done.stderr.count("\n") == 1
    assert not host.recorded.exists()
    assert not (tmp_path / "runs").exists()
