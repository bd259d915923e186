"""What `tune` says of a study in the end, and `inspect` of one that was left, or in which trials have failed."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tests.cli.test_tune import tune
from tfdqn.cli import main
from tfdqn.tuning.study_folder import StudyFolder

STUDY = Path("runs/small-tune")
pytestmark = pytest.mark.usefixtures("search_files")


def inspected(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    capsys.readouterr()
    assert main.main(["inspect", str(STUDY), *options]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_end_names_the_trials_that_failed_and_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    (STUDY / "do-001").parent.mkdir(parents=True)
    StudyFolder(STUDY).settle("", "small-tune")
    (STUDY / "do-001").write_text("fail")
    assert tune("small.toml space.toml --trials 3 --jobs 1 --fresh-seeds 2") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "1 of 3 trials failed (trial 1); why: tfdqn inspect runs/small-tune",
        "To train the best configuration:",
        "tfdqn train runs/small-tune/best.toml --run-dir runs/small-tune-best",
    ]
    lines = inspected(capsys)
    for line in (
        "trials 3 of 3 have ended: 2 complete, 1 failed",
        "its configuration runs/small-tune/best.toml",
        "trial 1 failed the pole is broken",
        "status finished",
    ):
        assert line in lines
    assert any(line.startswith("its fresh seeds, mean ") and line.endswith(" over 2 seeds") for line in lines)
    (report,) = map(msgspec.json.decode, inspected(capsys, "--json"))
    assert (report["status"], report["wanted"], report["ended"], report["resume"]) == ("finished", 3, 3, "")
    assert report["counts"] == {"complete": 2, "failed": 1}
    assert report["fresh_seeds"]["final"]["seeds"] == 2 and report["best_config"] == "runs/small-tune/best.toml"


def test_a_study_whose_fresh_seeds_have_not_finished_is_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("small.toml space.toml seed=7 --trials 1 --fresh-seeds 2") == 0
    (seeds,) = (STUDY / "best").iterdir()
    (seeds / "seed-9" / "summary.json").unlink()
    lines = inspected(capsys)
    assert "its fresh seeds 1 of 2 finished" in lines
    again = "tfdqn tune small.toml space.toml seed=7 --study-dir runs/small-tune --trials 1 --pruner median"
    assert lines[-2:] == ["status not finished; to go on:", f"{again} --fresh-seeds 2"]
    assert main.main([*lines[-1].split()[1:]]) == 0
    assert inspected(capsys)[-1] == "status finished"


def test_a_watch_that_goes_to_a_file_prints_what_is_new(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 0") == 0
    folder, looks = StudyFolder(STUDY), list[float]()

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            (STUDY / "study.html").unlink()
        if len(looks) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr("tfdqn.cli.inspect_view.time", SimpleNamespace(sleep=sleep))
    with folder.worked_on():
        for options, blocks in (([], "study runs/small-tune"), (["--json"], '{"status":"training"')):
            looks.clear()
            (STUDY / "study.html").touch()
            capsys.readouterr()
            assert main.main(["inspect", str(STUDY), "--watch", *options]) == 130
            assert len(looks) == 6 and " ".join(capsys.readouterr().out.split()).count(blocks) == 2


def test_a_watch_whose_reader_has_gone_ends_though_nothing_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 0") == 0
    looks, sleeps = iter([False, False, True]), iter([0, 1, 2])
    monkeypatch.setattr("tfdqn.cli.inspect_view.is_hung_up", lambda _: next(looks))
    monkeypatch.setattr("tfdqn.cli.inspect_view.time", SimpleNamespace(sleep=lambda _: next(sleeps)))
    with StudyFolder(STUDY).worked_on():
        assert main.main(["inspect", str(STUDY), "--watch"]) == 1
    assert list(looks) == []
