"""The newest version that can be loaded is served; a broken one is said, and changes nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.policies import network_of, task
from tfdqn.errors import UserError
from tfdqn.exporting.saved_model import export_policy
from tfdqn.serving.model_versions import ModelVersions


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """A folder of one version."""
    directory = tmp_path / "exports"
    export_policy(task(), network_of(task()), directory, {})
    return directory


def copy(exports: Path, version: int) -> Path:
    return Path(shutil.copytree(exports / "1", exports / str(version)))


def test_the_newest_complete_version_takes_over_and_gives_back(exports: Path) -> None:
    said: list[str] = []
    versions = ModelVersions(exports, said.append)
    first = versions.current
    versions.refresh()
    assert versions.current is first and said == []

    (exports / "3").mkdir()  # nothing in it yet
    copy(exports, 2)
    versions.refresh()
    assert versions.current.version == 2
    assert said == ["Version 2 is served in place of 1."]
    assert {each: state.state for each, state in versions.states.items()} == {1: "END", 2: "AVAILABLE"}
    zeros = {"observation": np.zeros((1, 4), np.float32)}
    for model in (first, versions.current):  # calls of the first are still answered
        assert model.signatures["serving_default"].call(zeros)["q_values"].shape == (1, 3)

    shutil.rmtree(exports / "2")
    versions.refresh()
    assert versions.current.version == 1
    shutil.rmtree(exports)
    versions.refresh()
    assert versions.current.version == 1


def test_a_broken_version_is_said_once_and_tried_again_when_it_changes(exports: Path) -> None:
    said: list[str] = []
    versions = ModelVersions(exports, said.append)
    for version, file in ((2, "variables/variables.index"), (4, "saved_model.pb")):
        broken = copy(exports, version) / file
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        before, already = versions.current, len(said)
        versions.refresh()
        versions.refresh()
        assert versions.current is before
        (line,) = said[already:]
        assert line.startswith(f"Version {version} can't be loaded; version {before.version} stays: ")
        assert versions.states[version].state == "END" and versions.states[version].problem
        assert versions.states[before.version].state == "AVAILABLE"

        broken.write_bytes(whole)
        versions.refresh()
        assert versions.current.version == version
        assert versions.states[version] == ("AVAILABLE", "")


def test_where_the_newest_is_broken_at_the_start_the_one_before_is_served(exports: Path) -> None:
    (copy(exports, 2) / "saved_model.pb").write_bytes(b"")
    said: list[str] = []
    assert ModelVersions(exports, said.append).current.version == 1
    (line,) = said
    assert line.startswith("Version 2 can't be loaded: ")


def test_nothing_to_serve_is_a_users_error(exports: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no version can be loaded"):
        ModelVersions(tmp_path / "nowhere", print)
    for file in ("variables/variables.index", "saved_model.pb"):
        (exports / "1" / file).write_bytes(b"no")
        said: list[str] = []
        with pytest.raises(UserError, match="no version can be loaded"):
            ModelVersions(exports, said.append)
        (line,) = said
        assert line.startswith("Version 1 can't be loaded: ")
        assert " b'" not in line and "the one before" not in line
