"""The newest version that can be loaded is served; a broken one is said, and changes nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.policies import network_of, task
from tfdqn.errors import UserError
from tfdqn.exporting.saved_model import export_policy
from tfdqn.serving.model import ModelVersions
from tfdqn.serving.options import read_policy


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


def served(exports: Path, text: str) -> tuple[ModelVersions, list[str]]:
    said: list[str] = []
    return ModelVersions(exports, said.append, read_policy(text)), said


def test_the_latest_so_many_are_served_and_an_older_one_in_place_of_a_broken(exports: Path) -> None:
    for version in (2, 3):
        copy(exports, version)
    (exports / "3" / "saved_model.pb").write_bytes(b"")
    versions, said = served(exports, "latest:2")
    assert versions.served == [2, 1] and versions.current.version == 2
    two, one = versions.find(2), versions.find(1)
    assert two is not None and one is not None and (two.version, one.version) == (2, 1)
    assert versions.find(3) is None and len(said) == 1

    copy(exports, 4)
    versions.refresh()
    assert versions.served == [4, 2] and versions.find(2) is two and versions.find(1) is None
    assert said[1:] == ["Version 4 is served in place of 1."]
    assert [versions.states[each].state for each in (1, 2, 3, 4)] == ["END", "AVAILABLE", "END", "AVAILABLE"]
    shutil.rmtree(exports / "4")
    shutil.rmtree(exports / "1")
    versions.refresh()
    assert versions.served == [2] and said[2:] == ["Version 4 is served no more."]


def test_a_label_whose_version_is_served_no_more_is_named(exports: Path) -> None:
    copy(exports, 2)
    said: list[str] = []
    versions = ModelVersions(exports, said.append, read_policy("latest:2"), {"old": 1, "stable": 2})
    copy(exports, 3)
    versions.refresh()
    assert said == ["Version 3 is served in place of 1. No longer answered: --label old=1."]


def test_all_are_served_and_each_that_comes(exports: Path) -> None:
    for version in (2, 10):
        copy(exports, version)
    versions, said = served(exports, "all")
    assert versions.served == [10, 2, 1]
    for version in (5, 7):
        copy(exports, version)
    versions.refresh()
    assert versions.served == [10, 7, 5, 2, 1] and said == ["Versions 5, 7 are served."]
    assert versions.current.version == 10


def test_specific_ones_are_served_and_no_others(exports: Path) -> None:
    for version in (2, 3):
        copy(exports, version)
    versions, said = served(exports, "specific:1,2,9")
    assert versions.served == [2, 1] and versions.find(3) is None and 3 not in versions.states
    copy(exports, 4)
    copy(exports, 9)
    versions.refresh()
    assert versions.served == [9, 2, 1] and said == ["Version 9 is served."]
    with pytest.raises(UserError, match="no version can be loaded"):
        served(exports, "specific:7")


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
