"""What can be read off the Dockerfile; tests/container builds and runs it."""

import json
import re
from pathlib import Path

import pytest

from tests.support.rendered_manifests import ROOT
from tfdqn.cli import main
from tfdqn.launch.manifests.job_spec import COMMAND, RUN_DIR, USER

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE, flags=re.MULTILINE)


def test_its_user_is_that_of_the_manifests_and_has_their_run_directory() -> None:
    assert instructions("USER") == [f"{USER}:{USER}"]
    assert RUN_DIR in DOCKERFILE


def test_all_that_it_copies_is_there_and_let_through() -> None:
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for copy in instructions("COPY") if not copy.startswith("--from") for source in copy.split()[:-1]}
    assert copied == admitted
    assert all((ROOT / source).exists() for source in copied)


def test_no_shell_stands_between_the_engine_and_the_program() -> None:
    assert [json.loads(each) for each in instructions("ENTRYPOINT")] == [list(COMMAND)]
    assert instructions("CMD") == ['["--help"]']


def test_its_health_check_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = instructions("HEALTHCHECK")
    program, *arguments = json.loads(check.partition("CMD ")[2])
    assert program == "tfdqn"
    monkeypatch.setenv("TFDQN_BEATS", str(tmp_path))
    assert main.main(arguments) == 1  # nobody lives here


def test_a_change_of_the_code_or_of_the_revision_leaves_the_large_layer_alone() -> None:
    dependencies, package, last = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert "COPY setup.cfg pyproject.toml constraints.txt" in dependencies
    assert "COPY tfdqn" not in dependencies and "REVISION" not in dependencies + package
    assert last.startswith("dependencies\n")
    assert not re.search(r"^RUN", last, flags=re.MULTILINE)
