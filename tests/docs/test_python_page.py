"""docs/python.md: its blocks, in one program, run as they stand there, but for fewer steps; and its names are all."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tfdqn
from tests.support.commands import PROJECT
from tests.support.reported_runs import seeds
from tfdqn.config.fields import kinds
from tfdqn.evaluation.evaluate import EvaluationReport

PAGE = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
SMALL = """learner=tfdqn.Learner(xla="off", batch_size=16),
    evaluation=tfdqn.Evaluation(episodes=2, confirm_episodes=0, final_episodes=2),
    stop="""


def test_the_blocks_run_as_one_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    seeds(tmp_path / "runs" / "a-seeds", [8.0, 9.0])
    seeds(tmp_path / "runs" / "b-seeds", [11.0, 12.0], ["agent.n_step=3"])
    program = (
        "".join(BLOCKS)
        .replace("min_size=1_000", "min_size=100")
        .replace("30_000", "1_000")
        .replace("40_000", "1_200")
        .replace("    stop=", f"    {SMALL}", 1)
    )
    names: dict[str, Any] = {}
    exec(program, names)
    assert names["config"].agent == tfdqn.DoubleDQN(n_step=3, discount=0.98)
    assert names["summary"].status == "finished" and names["summary"].env_steps >= 1_200
    assert len(names["report"].returns) == 20 and names["truncated"] | names["terminated"]
    assert (tmp_path / "runs" / "mine" / "exports" / "2").is_dir()  # the run has exported the first itself
    assert (tmp_path / "runs" / "curves.png").is_file()
    said = capsys.readouterr().out
    assert "finished" in said and "resumed at" in said and "Comparison(runs=(2, 2)" in said


def test_every_section_of_a_configuration_is_public_and_on_the_page() -> None:
    sections = [each.type for each in msgspec.structs.fields(tfdqn.Config) if kinds(each.type)]
    classes = {struct for each in sections for struct in kinds(each).values() if struct.__module__.startswith("tfdqn.")}
    assert len(classes) > 30
    assert {each.__name__ for each in classes} <= set(tfdqn.__all__)
    assert all(getattr(tfdqn, each.__name__) is each for each in classes)
    assert [name for name in tfdqn.__all__ if f"`{name}`" not in PAGE] == []


def test_every_field_of_an_evaluation_is_on_the_page() -> None:
    assert [name for name in EvaluationReport.__struct_fields__ if f"`{name}`" not in PAGE] == []
