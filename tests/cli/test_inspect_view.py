"""`tfdqn inspect --watch` of a run that ends."""

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.storage.locks import locked
from tfdqn.storage.run_directory import RunDir


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_finished_run_is_watched_no_longer_once_nobody_trains_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    run = RunDir(tmp_path / "run")
    finished_run(run.path, tiny(), [5.0], 5.0)
    with ExitStack() as trainer:
        trainer.enter_context(locked(run.lock_file, run.path))
        # Its own `time`, as threads of other tests may sleep, too.
        monkeypatch.setattr("tfdqn.cli.inspect_view.time", SimpleNamespace(sleep=lambda _: trainer.close()))
        assert main.main(["inspect", str(run.path), "--watch", *options]) == 0
    assert capsys.readouterr().out.count("finished: the budget of 1,200 environment steps was reached") == 1
