"""What `main` says of wrong keys and of options that a command doesn't have."""

from pathlib import Path

import pytest

from tfdqn.cli import main


def test_each_wrong_key_has_a_line_of_its_own(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config_file.write_text("gamma = 0.9\nseed = -1\n")
    assert main.main(["config", "small.toml", "agent.n_step=0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[:3] for line in lines] == [
        ["tfdqn:", "small.toml:", "gamma"],
        ["tfdqn:", "small.toml:", "seed"],
        ["tfdqn:", "override:", "agent.n_step"],
    ]


def test_of_many_wrong_keys_the_first_twenty_are_named(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["config", "small.toml", *(f"agent.wrong_{index}=1" for index in range(23))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21 and "agent.wrong_19" in lines[19] and lines[20] == "tfdqn: and 3 more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["launch", "small.toml", "--seeds", "1-3"], "No such option: --seeds; `tfdqn train` has it (see `"),
        (["report", "x", "--prune-after", "3"], "No such option: --prune-after; `tfdqn tune` has it (see `"),
        (["train", "small.toml", "--image", "x"], "No such option: --image; `tfdqn manifest` has it (see `"),
        (["plot", "x", "--jobs", "3"], "No such option: --jobs; `tfdqn train` and `tfdqn tune` have it (see `"),
        (["train", "small.toml", "--actors", "3"], "No such option: --actors; a key is given without dashes, as act"),
        (["train", "small.toml", "--nothing"], "No such option: --nothing (see `"),
        (["config", "small.toml", "--places", "x"], "No such option: --places (see `"),  # which is hidden
    ],
)
def test_an_option_of_another_command_is_answered_with_that_command(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main.main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"tfdqn: {said}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["config", ""], 'config ""'),
        (["train", "small.toml", "--run-dir", ""], '--run-dir ""'),
        (["train", "small.toml", "--run-dir="], "--run-dir="),
        (["plot", "runs/x", "-o", ""], '-o ""'),
        (["inspect", ""], 'inspect ""'),
    ],
)
def test_an_empty_argument_does_not_mean_the_current_directory(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main.main(arguments) == 2
    said = f"tfdqn: {said}: an argument must not be empty (see `tfdqn {arguments[0]} --help`)\n"
    assert capsys.readouterr().err == said
    assert [each.name for each in config_file.parent.iterdir()] == ["small.toml"]


def test_an_empty_verb_is_answered_with_the_help_on_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([""]) == 2
    assert capsys.readouterr().err == 'tfdqn: tfdqn "": an argument must not be empty (see `tfdqn --help`)\n'
