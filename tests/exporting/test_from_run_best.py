"""Each new best becomes a version, whole, here or at a URL; old ones go, but for those that others made."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.support.policies import network_of, task
from tests.support.tiny_runs import assert_same_arrays, everything, tiny
from tfdqn.errors import ConfigError
from tfdqn.evaluation.evaluator import scores
from tfdqn.exporting import destinations
from tfdqn.exporting.from_run import BestExports, export_run
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.versions import versions
from tfdqn.networks.factory import weight_specs
from tfdqn.records import Evaluation
from tfdqn.serving.model import ModelVersions
from tfdqn.storage.best_policy import load_best, save_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.call import train

ON = ("export.on_best=true", "export.keep=2")
WEIGHTS = {name: each.numpy() for name, each in network_of(task(), tiny().network).named_weights().items()}
ZEROS = {"observation": np.zeros((1, 4), np.float32)}


def evaluation(train_steps: int) -> Evaluation:
    """A policy's that is the better, the longer it has learned."""
    returns = np.full(3, float(train_steps))
    return Evaluation(env_steps=40, train_steps=train_steps, scores=scores(returns, returns), is_best=True)


def weights(bias: float) -> dict[str, np.ndarray]:
    """Whose Q is `bias` for every action where all is zero."""
    return {**{name: np.zeros_like(each) for name, each in WEIGHTS.items()}, "q/bias": np.full(3, bias, np.float32)}


def exports(run: RunDir, said: list[str], *overrides: str) -> BestExports:
    made = BestExports(tiny(*ON, *overrides), run, task(), said.append)
    made.catch_up()
    return made


def three_bests(run: RunDir, *overrides: str) -> list[str]:
    """Has each of three exported; returns what is said."""
    said: list[str] = []
    with closing(exports(run, said, *overrides)) as made:
        for step in (1, 2, 3):
            made.new_best(weights(step), evaluation(step))
    return said


@pytest.fixture
def ram() -> Iterator[str]:
    """A URL of TensorFlow's file system in memory."""
    yield "ram://policies/pole"
    tf.io.gfile.rmtree("ram://policies")


def names(url: str) -> list[str]:
    return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(url))


def test_old_versions_go_but_for_those_that_a_user_made(run: RunDir) -> None:
    by_hand = export_run(run.path)
    said: list[str] = []
    with closing(exports(run, said)) as made:
        made.new_best(weights(1), evaluation(1))
        made._thread.submit(shutil.copytree, run.exports / "2", run.exports / "7").result()
        for step in (2, 3):
            made.new_best(weights(step), evaluation(step))
    # Its best was not exported by itself before: that is version 2, and the oldest to go, but not its copy.
    assert [by_hand.name, *map(str, versions(run.exports))] == ["1", "1", "7", "8", "9"]
    assert [line for line in said if "warning" in line] == []
    assert said[-1] == f"exported the best policy so far, with return 3.00: {run.exports / '9'}"
    policy = load_policy(run.exports)
    assert policy.card["train_steps"] == 3
    np.testing.assert_array_equal(policy.q_values(ZEROS["observation"]), [[3.0, 3.0, 3.0]])
    assert [each.name for each in run.exports.iterdir() if each.name.startswith(".")] == []


def test_a_card_that_is_no_json_keeps_no_version_from_being_exported(run: RunDir, tmp_path: Path) -> None:
    place = tmp_path / "place"
    for version, content in (("1", b"\xff\xfe\xfa"), ("2", b"[1]"), ("3", b"no")):
        (place / version / "assets.extra").mkdir(parents=True)
        (place / version / "assets.extra" / "export.json").write_bytes(content)
    shutil.rmtree(run.best)
    said = three_bests(run, f'export.directory="{place}"')
    assert [line for line in said if "warning" in line] == []
    assert versions(place) == [1, 2, 3, 5, 6]


def test_versions_may_go_to_the_home_directory(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with closing(exports(run, [], 'export.directory="~/policies"')) as made:
        made.new_best(weights(1), evaluation(1))
    assert versions(tmp_path / "home" / "policies") and not (tmp_path / "~").exists()


def test_a_run_leaves_another_runs_versions_alone(run: RunDir, tmp_path: Path) -> None:
    other = RunDir(tmp_path / "other")
    place = f'export.directory="{tmp_path / "shared"}"'
    said: list[str] = []
    for each, steps in ((other, (1, 2)), (run, (1, 2, 3))):
        with closing(exports(each, said, place, "export.keep=1")) as made:
            for step in steps:
                made.new_best(weights(step), evaluation(step))
    assert said and not any("warning" in line for line in said)
    cards = destinations.Folder(tmp_path / "shared").cards()
    assert len(cards) == 2 and len({card["run"] for card in cards.values()}) == 2


def test_a_version_that_another_run_removes_just_now_is_left_out(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, said = tmp_path / "policies", []
    other = place / "5" / "assets.extra" / "export.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    read_bytes = Path.read_bytes

    def removed_first(self: Path) -> bytes:
        if self == other:
            shutil.rmtree(place / "5")
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", removed_first)
    with closing(exports(run, said, f'export.directory="{place}"')) as made:
        made.new_best(weights(1), evaluation(1))
    assert versions(place) == [1, 2] and [line for line in said if "warning" in line] == []


def test_a_file_that_has_the_next_number_is_skipped_and_old_versions_still_go(run: RunDir) -> None:
    shutil.rmtree(run.best)
    run.exports.mkdir(exist_ok=True)
    (run.exports / "7").write_text("a file")
    said = three_bests(run)
    assert len(said) == 3 and not any("warning" in line for line in said)
    assert versions(run.exports) == [9, 10]


def test_a_version_whose_number_another_process_takes_first_goes_like_any_other(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run.best)
    taken = [run.exports / "1" / "of another"]
    monkeypatch.setattr("tfdqn.exporting.versions.sync_tree", lambda _: taken and taken.pop().mkdir(parents=True))
    said = three_bests(run)
    assert versions(run.exports) == [1, 3, 4]  # 2 was made as 1
    assert load_policy(run.exports / "4").card["version"] == 4
    assert not any("warning" in line for line in said)


def test_a_best_that_was_not_exported_before_a_kill_is_exported_when_the_run_goes_on(run: RunDir) -> None:
    said: list[str] = []
    for _ in range(2):  # and once only, also if its card was written by an earlier version
        exports(run, said).close()
        assert versions(run.exports) == [1]
        card = run.exports / "1" / "assets.extra" / "export.json"
        card.write_text(card.read_text().replace('"ci_low"', '"ci"'))
    assert load_policy(run.exports).card["train_steps"] == 1_270
    save_best(run.best_weights, WEIGHTS, evaluation(1_300))
    exports(run, said).close()
    BestExports(tiny(), run, task(), said.append).catch_up()  # nobody asks for it
    assert (versions(run.exports), len(said)) == ([1, 2], 2)


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_a_run_directory_that_is_moved_away_is_not_made_again_for_a_version(
    moment: str, run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move_and_save(*arguments: Any, **settings: Any) -> None:
        run.path.rename(tmp_path / "elsewhere")
        save(*arguments, **settings)

    shutil.rmtree(run.best)
    said: list[str] = []
    run.check_exists()
    save = tf.saved_model.save
    with closing(exports(run, said)) as made:
        if moment == "before":
            run.path.rename(tmp_path / "elsewhere")
        else:
            monkeypatch.setattr(tf.saved_model, "save", move_and_save)
        made.new_best(weights(1), evaluation(1))
    assert not run.path.exists()
    gone = f"{run.path} is gone: it was moved or removed while this process used it"
    assert said == [f"warning: the best policy couldn't be exported: {gone}"]


def test_what_fails_is_said_and_the_next_is_tried(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "place").write_text("a file")
    shutil.rmtree(run.best)
    said: list[str] = []
    with closing(exports(run, said, f'export.directory="{tmp_path / "place"}"')) as made:
        made.new_best(weights(1), evaluation(1))
        made._thread.submit((tmp_path / "place").unlink).result()
        made.new_best(weights(2), evaluation(2))
    assert said[0].startswith("warning: the best policy couldn't be exported: ") and len(said) == 2
    assert load_policy(tmp_path / "place").card["train_steps"] == 2


def test_at_a_url_what_says_that_a_version_is_complete_comes_last(
    run: RunDir, ram: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    copy, write = destinations._copy, destinations._write

    def recorded_copy(file: Path, target: str) -> None:
        written.append(target)
        copy(file, target)

    def recorded_write(target: str, text: str) -> None:
        written.append(target)
        if tf.io.gfile.exists(target):  # to which ram://, other than any other, would append
            tf.io.gfile.remove(target)
        write(target, text)

    monkeypatch.setattr(destinations, "_copy", recorded_copy)
    monkeypatch.setattr(destinations, "_write", recorded_write)
    said = three_bests(run, f'export.directory="{ram}/"')
    assert said[-1] == f"exported the best policy so far, with return 3.00: {ram}/4"
    assert names(ram) == ["3", "4", "batching.config", "models.config"]
    of_one = [target for target in written if target.startswith(f"{ram}/4/")]
    assert of_one[-2:] == [f"{ram}/4/saved_model.pb", f"{ram}/4/COMPLETE"]
    assert f"{ram}/4/variables/variables.index" in of_one and f"{ram}/4/model_card.md" in of_one
    marks = [name for name in written if name.endswith(("/COMPLETE", "/models.config"))]
    assert written[-1] == marks[-1]  # so TensorFlow Serving never sees a half version
    assert marks[-2:] == [f"{ram}/4/COMPLETE", f"{ram}/models.config"]
    with tf.io.gfile.GFile(f"{ram}/models.config") as file:
        (model,) = text_format.Parse(file.read(), ModelServerConfig()).model_config_list.config
    assert (model.base_path, model.model_version_policy.specific.versions) == (ram, [4])
    served = tf.saved_model.load(f"{ram}/4").signatures["serving_default"]
    q_values = served(observation=tf.constant(ZEROS["observation"]))["q_values"]
    np.testing.assert_array_equal(q_values, [[3.0, 3.0, 3.0]])


def test_at_a_url_a_half_version_counts_for_nothing_and_its_number_is_not_used_again(run: RunDir, ram: str) -> None:
    place = destinations.Url(ram, "pole")
    tf.io.gfile.makedirs(f"{ram}/7")
    tf.io.gfile.makedirs(f"{ram}/notes")
    assert place.cards() == {}
    said: list[str] = []
    exports(run, said, f'export.directory="{ram}"').close()
    assert list(place.cards()) == [8]
    place.remove(8)
    assert names(ram) == ["7", "batching.config", "models.config", "notes"]


def test_a_url_that_tensorflow_cannot_write_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'^export.directory = "s3://x": TensorFlow can write .*gs://.* and paths$'):
        train(tiny("export.on_best=true", 'export.directory="s3://x"'), tmp_path / "run")


def test_each_new_best_of_a_run_is_exported_and_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    exact = ("replay.backend=in_graph", "learner.schedule=alternate", "evaluation.interval_env_steps=100")
    exact = (*exact, "optimizer.learning_rate=0.01", "seed=2")
    said: list[str] = []
    plain, exporting = tmp_path / "plain", tmp_path / "exporting"
    train(tiny(*exact), plain)
    train(tiny(*exact, *ON), exporting, say=said.append)
    assert_same_arrays(everything(plain), everything(exporting))
    bests = [
        each["train_steps"]
        for each in map(json.loads, (exporting / "evaluations.jsonl").read_text().splitlines())
        if each["is_best"]
    ]
    assert len([line for line in said if "exported the best policy so far" in line]) == len(bests) > 2
    cards = destinations.Folder(exporting / "exports").cards()
    assert [card["train_steps"] for card in cards.values() if "run" in card] == bests[-2:]
    assert len(cards) == 3  # and that of the run's end
    found = RunDir(exporting)
    _, evaluated = load_best(found.best_weights, weight_specs(found.config(), found.task_spec()))
    assert evaluated.train_steps == bests[-1]


def test_tfdqn_serve_takes_up_each_version(run: RunDir) -> None:
    said: list[str] = []
    exports(run, said).close()
    serving = ModelVersions(run.exports, said.append)
    with closing(exports(run, said, "export.keep=1")) as made:
        for step in (2, 3):
            made.new_best(weights(step), evaluation(1_270 + step))
            made._thread.submit(serving.refresh).result()
            answer = serving.current.signatures["serving_default"].call(ZEROS)
            np.testing.assert_array_equal(answer["q_values"], np.full((1, 3), step))
    serving.refresh()
    assert serving.current.version == 3 and versions(run.exports) == [3]
    assert not any("can't be loaded" in line for line in said)
