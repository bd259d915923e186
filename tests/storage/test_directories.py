"""What is no directory is described."""

from pathlib import Path

from tfdqn.storage.directories import why_no_directory


def test_a_directory_a_file_nothing_and_a_link_to_it_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "link").symlink_to("none")
    found = [why_no_directory(tmp_path / name) for name in ("", "file", "none", "link")]
    assert found == ["", "is a file, not a directory", "doesn't exist", "is a link to what doesn't exist"]
