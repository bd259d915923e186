"""Whole runs: reproducible, resumed exactly, paced, watched, and stopped for every reason there is."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.event_files import tags
from tests.support.tiny_runs import assert_same_arrays, by_loop_alone, everything, latest, lines, tiny
from tfdqn.config import DQN, Config
from tfdqn.config.headline import headline
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError, RunDirError, TaskError
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end
from tfdqn.training.call import train

EXACT = ("replay.backend=in_graph", "learner.schedule=alternate")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("exact") / "run"
    summary = train(tiny(*EXACT, "agent.n_step=3"), run)
    assert summary.status == "finished"
    return run


def test_the_same_seed_gives_the_same_weights_bit_for_bit(uninterrupted, tmp_path):
    train(tiny(*EXACT, "agent.n_step=3"), tmp_path / "again")
    assert_same_arrays(everything(uninterrupted), everything(tmp_path / "again"))


def test_a_run_that_another_process_takes_over_ends_and_saves_nothing_more(tmp_path):
    run = RunDir(tmp_path / "run")

    def take_over(progress):
        if progress.phase == "learning":
            taken = json.loads(run.lock_file.read_bytes()) | {"token": "another's"}
            run.lock_file.write_text(json.dumps(taken))

    endless = tiny(*EXACT, "stop.env_steps=1_000_000_000")
    with pytest.raises(RunDirError, match="run was taken over by"):
        train(endless, run, on_progress=take_over)
    assert not run.checkpoints.exists()


@pytest.mark.parametrize(("set_to", "is_warned"), [((), False), (("learner.workers=4",), True)])
def test_a_count_of_the_configuration_that_its_cluster_decides_is_not_used_in_silence(
    tmp_path, monkeypatch, set_to, is_warned
):
    jobs = {"worker": ["a:1", "b:1", "c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": "worker", "index": 0}}))
    taken, said = [], []
    monkeypatch.setattr("tfdqn.training.train.train_checked", lambda config, *_: taken.append(config.learner.workers))
    config = tiny("learner.strategy=multi_worker", "learner.batch_size=48", "learner.updates_per_call=6", *set_to)
    train(config, tmp_path / "run", say=said.append)
    assert taken == [3]
    warning = "warning: TF_CONFIG means learner.workers=3: learner.workers = 4 in the configuration is not used"
    assert (warning in said) == is_warned and len(said) == 1 + is_warned


def test_another_seed_gives_other_weights(uninterrupted, tmp_path):
    train(tiny(*EXACT, "agent.n_step=3", "seed=2"), tmp_path / "other")
    ours, theirs = everything(uninterrupted), everything(tmp_path / "other")
    assert not np.array_equal(ours["learner/online/q/kernel"], theirs["learner/online/q/kernel"])


def test_a_run_that_was_stopped_and_resumed_equals_one_that_was_not(uninterrupted, tmp_path):
    run = tmp_path / "resumed"
    train(tiny(*EXACT, "agent.n_step=3", "stop.env_steps=596"), run)
    stopped = latest(run).counters
    said: list[str] = []
    summary = train(tiny(*EXACT, "agent.n_step=3"), run, say=said.append)
    assert 0 < stopped.train_steps < summary.train_steps
    assert any(
        f"{stopped.train_steps:,} updates (checkpoint " in line and "the episodes under way go on" in line
        for line in said
    )
    assert_same_arrays(everything(uninterrupted), everything(run))
    assert summary.episodes == latest(uninterrupted).counters.episodes


def test_the_last_weights_are_evaluated_and_every_evaluation_stands_where_it_began(tmp_path):
    summary = train(tiny(*EXACT), tmp_path / "run")
    evaluations = lines(tmp_path / "run" / "evaluations.jsonl")
    assert evaluations[-1]["train_steps"] == summary.train_steps
    for each in evaluations:
        owed = (each["env_steps"] - 100) / 4
        assert owed - 6 <= each["train_steps"] <= owed  # a call's five, and a step of four environments


def test_a_kill_between_a_new_best_and_the_next_checkpoint_changes_nothing(uninterrupted, tmp_path):
    """The run goes that way once more, and takes the evaluation that it had crowned for the same."""
    config = tiny(*EXACT, "agent.n_step=3", "stop.patience_evaluations=2")
    whole = train(config, tmp_path / "whole")
    run = tmp_path / "killed"
    calls = itertools.count()
    train(config, run, interrupted=by_loop_alone(lambda: next(calls) > 100))
    assert 0 < latest(run).counters.env_steps < 500
    before = tmp_path / "before"
    shutil.copytree(run / "checkpoints", before)
    train(config, run)
    shutil.rmtree(run / "checkpoints")
    shutil.move(before, run / "checkpoints")  # all that came after is lost, but for the best policy's file
    (run / "summary.json").unlink()
    again = train(config, run)
    assert (again.reason, again.env_steps, again.best_return) == (whole.reason, whole.env_steps, whole.best_return)


@pytest.mark.parametrize(  # every two of the three together
    ("backend", "schedule", "actors"),
    [("reverb", "overlap", 1), ("reverb", "alternate", 3), ("in_graph", "overlap", 3), ("in_graph", "alternate", 1)],
)
def test_updates_keep_to_the_replay_ratio_and_acting_to_its_end(backend, schedule, actors, tmp_path):
    config = tiny(
        f"replay.backend={backend}", f"learner.schedule={schedule}", f"acting.actors={actors}", "agent.n_step=1"
    )
    summary = train(config, tmp_path / "run")
    assert config.stop.env_steps <= summary.env_steps < config.stop.env_steps + config.task.num_envs
    assert latest(tmp_path / "run").counters.transitions == summary.env_steps
    owed = (summary.env_steps - config.replay.min_size) / config.learner.env_steps_per_update
    assert owed - config.learner.updates_per_call < summary.train_steps <= owed


def test_several_actors_fill_several_shards_evenly(tmp_path):
    run = tmp_path / "run"
    summary = train(tiny("acting.actors=3", "replay.shards=2", "replay.capacity=4000"), run)
    replay = latest(run).replay
    assert sorted(each.name for each in replay.iterdir()) == ["shard-0", "shard-1"]
    partial = len(latest(run).arrays("replay")["partial_block"])
    assert (int(latest(run).arrays("replay")["inserted"]) * 4 + partial) == summary.env_steps
    again = train(tiny("acting.actors=3", "replay.shards=2", "replay.capacity=4000", "stop.env_steps=2000"), run)
    assert again.train_steps > summary.train_steps


@pytest.mark.parametrize("schedule", ["overlap", "alternate"])
def test_frames_of_several_actors_are_learned_from_on_several_shards(schedule, tmp_path):
    frames = ("task.frame_stack=2", "replay.item=frames", "agent.n_step=3", f"learner.schedule={schedule}")
    config = tiny(*frames, "acting.actors=2", "replay.shards=2")
    summary = train(config, tmp_path / "run")
    transitions = latest(tmp_path / "run").counters.transitions
    owed = (transitions - config.replay.min_size) / config.learner.env_steps_per_update
    assert owed - config.learner.updates_per_call < summary.train_steps <= owed


def test_a_run_leaves_what_it_says(tmp_path):
    run = tmp_path / "run"
    progress = []
    summary = train(tiny("logging.tensorboard=true"), run, on_progress=progress.append)
    assert summary.status == "finished"
    assert summary.final is not None and summary.final.episodes == 4
    for what, path in summary.paths.items():
        assert Path(path).exists(), what
    assert json.loads((run / "summary.json").read_text())["env_steps"] == summary.env_steps
    assert list((run / "logs").glob("events.out.tfevents.*"))
    assert lines(run / "evaluations.jsonl")[0]["episodes"] == 4
    assert progress[-1].phase == "drawing and exporting"


def test_tensorboard_holds_every_curve_the_configuration_and_a_profile(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    # In turn: else this thread may log nothing while others act and learn.
    often = ("logging.tensorboard=true", "logging.interval_seconds=0.05", "learner.schedule=alternate")
    train(tiny(*often, "stop.env_steps=4000"), run, profile=True)
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    curves = {
        name: [tf.make_ndarray(e.tensor_proto) for e in events.Tensors(name)] for name in events.Tags()["tensors"]
    }
    promised = {
        "acting/episode_return",
        "acting/episode_length",
        "acting/epsilon",
        "acting/env_steps_per_second",
        "acting/weights_age_train_steps",
        "learning/loss",
        "learning/mean_q",
        "learning/max_q",
        "learning/mean_abs_td_error",
        "learning/updates_per_second",
        "learning/target_updates",
        "replay/transitions",
        "replay/samples_per_insert",
    }
    assert promised <= curves.keys()
    assert tags(run / "logs" / "evaluator") == {"evaluation/return", "evaluation/std_return", "evaluation/length"}
    assert "[task]" in curves["configuration"][0].item().decode()
    # 16 transitions sampled per update, one update each 4 transitions after the first 100.
    assert 2.5 < curves["replay/samples_per_insert"][-1] <= 4
    assert list((run / "logs" / "plugins" / "profile").rglob("*.xplane.pb"))


def test_a_finished_run_is_told_again_and_not_trained_further(tmp_path):
    run, config = tmp_path / "run", tiny("exploration.decay_env_steps=12_000")  # of which it sees the beginning
    first, said = train(config, run), list[str]()
    before = latest(run).directory
    RunDir(run).cluster_file.touch()
    again = train(config, run, say=said.append)
    assert said == [headline(config)]  # nothing of resuming, nor of the schedule
    assert (again.status, again.env_steps, again.final) == ("already finished", first.env_steps, first.final)
    assert latest(run).directory == before
    shorter = train(tiny("stop.env_steps=1100", "exploration.decay_env_steps=12_000"), run)
    assert shorter.status == "already finished"
    assert RunDir(run).config() == config  # what it was trained by
    assert RunDir(run).cluster_file.exists()  # a job has trained it last


def test_a_summary_that_the_run_has_outgrown_is_not_told_again(tmp_path):
    run = tmp_path / "run"
    first = train(tiny(), run)
    longer = tiny("stop.env_steps=1600")
    RunDir(run).cluster_file.touch()  # as of a job
    stopped = train(longer, run, interrupted=by_loop_alone(_after(lambda: _latest_env_steps(run) > 1_200)))
    assert (stopped.status, stopped.reason) == ("interrupted", "by its caller")
    assert not RunDir(run).cluster_file.exists()
    why = "it was interrupted by the program that trained it"
    assert read_end(RunDir(run).end_file) == RunEnd(Outcome.STOPPED, True, why)
    second = train(longer, run)
    assert second.status == "finished"
    assert second.env_steps >= 1_600 > first.env_steps
    third = train(tiny("stop.env_steps=1600", "evaluation.final_episodes=6"), run)
    assert third.final is not None and third.final.episodes == 6


def _after(condition):
    """Asks to stop from the first time on that the condition holds."""
    asked = []

    def interrupted():
        if not asked and condition():
            asked.append(True)
        return bool(asked)

    return interrupted


def _latest_env_steps(run: Path) -> int:
    return latest(run).counters.env_steps


def test_a_run_directory_of_another_configuration_is_refused_and_left_alone(uninterrupted):
    run = uninterrupted
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RunDirError, match=r"agent\.n_step: 3 in the run, 1 now"):
        train(tiny(*EXACT), run)
    for path, content in files.items():
        assert path.name == "lock" or path.read_bytes() == content


def test_a_run_directory_must_be_given():
    with pytest.raises(RunDirError, match=r'^run_dir: give a directory for the run, such as "runs/my-run-seed3"; '):
        train(tiny("seed=3"))


def test_training_stops_at_a_return(tmp_path):
    summary = train(tiny("stop.return_at_least=1.0", "stop.env_steps=1_000_000_000"), tmp_path / "run")
    assert "reached a mean return" in summary.reason


def test_training_stops_when_evaluations_bring_no_new_best(tmp_path):
    keys = ("stop.patience_evaluations=2", "optimizer.learning_rate=1e-12", "learner.schedule=alternate")
    summary = train(tiny("stop.env_steps=1_000_000_000", *keys), tmp_path / "run")
    assert summary.reason == "2 evaluations brought no new best"  # in turn: else one more may be made meanwhile


def test_wrong_arguments_in_python_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match="load_config reads one"):
        train("configs/cartpole.toml", tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"such as \['seed=3'\]"):
        from_mapping({}, "seed=3")
    with pytest.raises(ConfigError, match="episodes = 0"):
        evaluate(tmp_path / "run", episodes=0)


def test_a_bad_configuration_made_in_python_leaves_no_directory_behind(tmp_path):
    with pytest.raises(ConfigError, match=r"agent\.n_step = 0"):
        train(Config(agent=DQN(n_step=0)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_task_that_dqn_can_t_learn_leaves_no_directory_behind(tmp_path):
    with pytest.raises(TaskError, match="action_bins"):
        train(tiny("task.id=Pendulum-v1"), tmp_path / "runs" / "run")
    assert not list(tmp_path.iterdir())


def test_an_unknown_task_is_told_before_a_directory_is_made_or_compared(tmp_path):
    with pytest.raises(TaskError, match="CartPoel"):
        train(tiny("task.id=CartPoel-v1"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
