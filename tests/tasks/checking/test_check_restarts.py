"""A task whose environments fail now and then can be trained on with `task.restarts`, and the check says so."""

from tfdqn.config import Task
from tfdqn.tasks.checking.check import TaskCheck, check

FAILS = "tests.support.toy_environments:Fails-v0"  # its episodes have four steps


def found_of(restarts: int) -> TaskCheck:
    task = Task(id=FAILS, num_envs=2, kwargs={"at": 7}, restarts=restarts)
    return check(task, lambda *where: None, env_steps=30)


def test_environments_that_fail_are_restarted_and_a_note_has_the_first_failure() -> None:
    found = found_of(20)
    assert found.can_train
    notes = [each.found for each in found.findings if each.about == "restarts"]
    assert [note.partition(":")[0] for note in notes] == ["1 environment", "2 environments", "same seed"]
    assert "the simulator is gone: the environment is restarted (1 of task.restarts = 20); the first of 3" in notes[0]
    assert set(found.episode_lengths) == {4}  # the episodes that failed are no part of others


def test_one_failure_more_than_restarts_is_allowed_in_none() -> None:
    found = found_of(1)
    assert not found.can_train and "the simulator is gone" in found.failures[0]
