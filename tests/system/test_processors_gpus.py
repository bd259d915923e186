"""Which GPUs a host has is what the user shows, or else what the driver lists."""

from pathlib import Path

import pytest

from tfdqn.system import processors
from tfdqn.system.processors import visible_gpus


def nvidia_smi(folder: Path, script: str) -> dict[str, str]:
    """An environment in which that is what the driver's program does."""
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("0,2", ("0", "2")),
        ("GPU-1f, MIG-2e", ("GPU-1f", "MIG-2e")),
        ("1,-1,0", ("1",)),  # CUDA leaves out what comes after a name that is none
        ("-1", ()),
        ("NoDevFiles", ()),  # Slurm's, for a job without GPUs
        ("1,none,0", ("1",)),
        ("", ()),
    ],
)
def test_those_that_the_user_shows_are_the_ones(named: str, found: tuple[str, ...], tmp_path: Path) -> None:
    environment = nvidia_smi(tmp_path, "echo GPU-9")
    assert visible_gpus(environment | {"CUDA_VISIBLE_DEVICES": named}) == found


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            '[ "$*" = "--list-gpus" ] && echo "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1f)" &&'
            ' echo "GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2e)"',
            ("GPU-1f", "GPU-2e"),
        ),
        (
            'echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1f)"\n'
            'echo "  MIG 3g.20gb     Device  0: (UUID: MIG-3a)"\n'
            'echo "  MIG 3g.20gb     Device  1: (UUID: MIG-4b)"\n'
            'echo "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2e)"',
            ("MIG-3a", "MIG-4b", "GPU-2e"),
        ),
        ("echo No devices were found; exit 6", ()),
        ("exec sleep 60", ()),
    ],
)
def test_else_those_that_the_driver_lists_are(
    script: str, found: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "_LIST_SECONDS", 0.5 if "sleep" in script else 30.0)
    assert visible_gpus(nvidia_smi(tmp_path, script)) == found


def test_without_a_driver_there_are_none(tmp_path: Path) -> None:
    assert visible_gpus({"PATH": str(tmp_path)}) == ()


def test_the_driver_is_asked_once(tmp_path: Path) -> None:
    environment = nvidia_smi(tmp_path, f'echo >> {tmp_path}/asked; echo "GPU 0: NVIDIA H100 (UUID: GPU-1f)"')
    assert visible_gpus(environment) == visible_gpus(environment) == ("GPU-1f",)
    assert (tmp_path / "asked").read_text() == "\n"
