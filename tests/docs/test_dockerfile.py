"""What can be read off the Dockerfile; tests/container builds and runs it."""

import json
import re
from pathlib import Path

import pytest

from tests.support.rendered_manifests import ROOT
from tfdqn.cli import main
from tfdqn.launch.manifests.job_spec import COMMAND, RUN_DIR, USER

DOCKERFILE = re.sub(r"^ *#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")


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


def test_every_label_that_the_open_container_initiative_names_for_it_is_there() -> None:
    # https://github.com/opencontainers/image-spec/blob/main/annotations.md, but for authors, vendor and ref.name.
    named = {
        *("title", "description", "licenses", "version", "revision", "created", "source", "url", "documentation"),
        *("base.name", "base.digest"),
    }
    (labels,) = instructions("LABEL")
    assert set(re.findall(r"org\.opencontainers\.image\.(\S+?)=", labels)) == named
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert set(re.findall(r"\$\{(\w+)", labels)) <= set(re.findall(r"^ARG (\w+)", last, flags=re.MULTILINE))


def test_the_list_of_packages_is_where_the_label_says_and_made_by_a_pinned_program() -> None:
    (labels,) = instructions("LABEL")
    (place,) = re.findall(r'tfdqn\.sbom="(\S+)"', labels)
    copied = next(copy.split() for copy in instructions("COPY") if copy.startswith("--from=package"))
    assert f"--output-file {copied[1]}{place.removeprefix(copied[2])} " in DOCKERFILE
    (made,) = [run for run in instructions("RUN") if "cyclonedx-bom" in run]
    assert all("==" in word for word in re.findall(r"cyclonedx\S*", made))
    assert "/opt/tfdqn" not in made  # what lists is not listed
    page = (ROOT / "docs" / "image.md").read_text()
    assert place in page


def test_each_part_of_the_environment_is_of_one_date_before_and_after_it_is_compiled() -> None:
    installing = [run for run in instructions("RUN") if "/opt/tfdqn/bin/pip install" in run]
    assert len(installing) == 2
    for run in installing:
        assert run.startswith("export PYTHONHASHSEED=0 ")
        assert "--no-compile" in run
        dated = re.split(r"find \S+ -exec touch --no-dereference --date=@315532800 \{\} \+", run)
        assert ["compileall -qq -f --invalidation-mode timestamp" in part for part in dated] == [False, True, False]


def test_a_change_of_the_code_or_of_the_revision_leaves_the_large_layer_alone() -> None:
    dependencies, package, last = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert "COPY setup.cfg pyproject.toml constraints.txt" in dependencies
    assert "COPY tfdqn" not in dependencies and "REVISION" not in dependencies + package
    assert last.startswith("dependencies\n")
    assert not re.search(r"^RUN", last, flags=re.MULTILINE)
