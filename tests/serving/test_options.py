"""What the command line says of versions and labels is read, or one line says what is needed."""

from pathlib import Path

import pytest

from tfdqn.errors import UserError
from tfdqn.exporting.versions import MODEL_FILE
from tfdqn.serving.options import VersionPolicy, read_labels, read_policy, require_chosen


def test_policies_are_read() -> None:
    assert read_policy("latest:1") == VersionPolicy()
    assert read_policy("latest:12") == VersionPolicy(12)
    assert read_policy("all") == VersionPolicy(None)
    assert read_policy("specific:3,1,3") == VersionPolicy(None, frozenset((1, 3)))
    assert read_policy("specific:1,3").chosen([1, 2, 3, 30]) == [3, 1]
    assert read_policy("latest:1").chosen([2, 10, 9]) == [10, 9, 2]


@pytest.mark.parametrize(
    "text",
    [
        *("", "latest", "latest:", "latest:0", "latest:-1", "latest:1.5", "latest:1,2", "ALL", "specific", "specific:"),
        *("specific:1,", "specific:a", "specific: 1", "specific:" + "9" * 19, "latest:" + "9" * 19, "1", "all\n"),
    ],
)
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="latest:N, all, or specific:1,3 is needed"):
        read_policy(text)


def test_what_no_policy_can_choose_is_refused_with_what_there_is(tmp_path: Path) -> None:
    for version in (1, 12):
        (tmp_path / str(version)).mkdir()
        (tmp_path / str(version) / MODEL_FILE).touch()
    (tmp_path / "9").mkdir()  # still being copied
    said: list[str] = []
    for text in ("latest:1", "latest:3", "all", "specific:12", "specific:12,1"):
        require_chosen(read_policy(text), tmp_path, said.append)
    require_chosen(read_policy("all"), tmp_path / "9", said.append)  # without any: loading them says so
    assert said == []
    with pytest.raises(UserError, match=r"--versions: 7, 9 not found in .*, which has 1, 12$"):
        require_chosen(read_policy("specific:9,7"), tmp_path, said.append)
    assert said == []


def test_versions_that_are_not_there_yet_beside_one_that_is_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / MODEL_FILE).touch()
    said: list[str] = []
    require_chosen(read_policy("specific:9,1,7"), tmp_path, said.append)
    assert said == [
        f"warning: --versions: 7, 9 not found in {tmp_path}, which has 1; versions that appear later are served then"
    ]


def test_labels_are_read() -> None:
    assert read_labels([]) == {}
    assert read_labels(["stable=3", "next-1.0_b=004"]) == {"stable": 3, "next-1.0_b": 4}


@pytest.mark.parametrize(
    "text", ["", ".=3", "..=3", "stable", "stable=", "=3", "a/b=3", "a:b=3", "a=b", "a=-1", "a=3=4", "a=" + "9" * 19]
)
def test_other_labels_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="NAME=VERSION is needed"):
        read_labels([text])


def test_a_label_has_one_version() -> None:
    with pytest.raises(UserError, match="stable is given twice"):
        read_labels(["stable=3", "stable=4"])
