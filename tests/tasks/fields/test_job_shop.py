"""Job shops: how they are read, and in graph-jsp-env a schedule by hand, its masks, returns that are makespans."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.tasks.fields.job_shop import INSTANCES, OPTIMA, make_job_shop, read_instance
from tfdqn.tasks.registry import make_task, resolve_spec

KEYS = {"id": "tfdqn/JobShop-v0", "action_masks": True, "action_mask_source": "method:valid_action_mask"}


def test_a_shop_that_is_none_is_one_line() -> None:
    with pytest.raises(TaskError, match="ft07 is neither one of ft06, la01 nor a file") as caught:
        resolve_spec(Task(**KEYS, kwargs={"instance": "ft07"}))
    assert "\n" not in str(caught.value)


def test_a_package_that_is_missing_is_one_line_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graph_jsp_env.disjunctive_graph_jsp_env", None)
    with pytest.raises(PackageMissingError, match=r"^tfdqn/JobShop-v0 needs a package .*\[scheduling\]"):
        resolve_spec(Task(**KEYS))


@pytest.mark.tasks
def test_a_schedule_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Job 0: machine 0 for 3, machine 1 for 2. Job 1: machine 1 for 6, machine 0 for 1: 7, the longest path at first.

    Job 0 on machine 0 from 0 to 3, job 1 on machine 1 from 0 to 6 and on machine 0 from 6 to 7: no path is longer than
    7 yet. Job 0 on machine 1 from 6 to 8: it has grown by 1.
    """
    (tmp_path / "shop.txt").write_text("0 3 1 2\n1 6 0 1\n")
    env = make_job_shop(str(tmp_path / "shop.txt"))
    assert env.reset(seed=0)[0].shape == (4 * (4 + 2 + 1),)
    given = []
    for job, legal in ((0, [1, 1]), (1, [1, 1]), (1, [1, 1]), (0, [1, 0])):
        assert env.get_wrapper_attr("valid_action_mask")() == [bool(each) for each in legal]
        _, reward, terminated, _, info = env.step(job)
        given.append((reward, terminated))
    assert given == [(0.0, False), (0.0, False), (0.0, False), (-1.0, True)]
    assert info["makespan"] == 8
    assert capsys.readouterr().out == ""


@pytest.mark.tasks
@pytest.mark.parametrize("instance, operations, longest", [("ft06", 36, 47), ("la01", 50, 413)])
def test_a_return_is_the_longest_jobs_length_less_the_makespan(instance: str, operations: int, longest: int) -> None:
    task = make_task(Task(**KEYS, num_envs=2, kwargs={"instance": instance}))
    _, legal = task.reset(1)
    rng, returns = np.random.default_rng(0), np.zeros(2)
    for step in range(operations):
        assert legal is not None
        actions = np.array([rng.choice(np.flatnonzero(each)) for each in legal], np.int32)
        taken = task.step(actions)
        legal = taken.legal_actions
        returns += taken.reward
        assert (taken.terminated == (step == operations - 1)).all()
    assert (longest - returns >= OPTIMA[instance]).all()
    task.close()


@pytest.mark.tasks
def test_the_makespan_is_what_the_environment_says() -> None:
    """In every episode, whatever the one before came to."""
    env, rng = make_job_shop("ft06"), np.random.default_rng(0)
    for _ in range(4):
        env.reset(seed=0)
        earned, is_over = 0.0, False
        while not is_over:
            job = rng.choice(np.flatnonzero(env.get_wrapper_attr("valid_action_mask")()))
            _, reward, is_over, _, info = env.step(job)
            earned += float(reward)
        assert 47 - earned == info["makespan"]


# Of Fisher and Thompson 1963 and Lawrence 1984: jobs, machines, all work, the longest job, the most loaded machine. The
# makespan is at least the greater of the last two.
KNOWN = {"ft06": (6, 6, 197, 47, 43), "la01": (10, 5, 2849, 413, 666)}


@pytest.mark.parametrize("name", INSTANCES)
def test_the_known_ones_are_those_of_the_literature(name: str) -> None:
    shop = read_instance(name)
    jobs, machines, work, longest, loaded = KNOWN[name]
    assert shop.times.shape == shop.machines.shape == (jobs, machines)
    assert shop.times.sum() == work
    assert shop.times.sum(axis=1).max() == longest
    assert max(shop.times[shop.machines == machine].sum() for machine in range(machines)) == loaded
    assert OPTIMA[name] >= max(longest, loaded)


def test_a_file_is_read_with_and_without_its_head(tmp_path: Path) -> None:
    rows = "1 5 0 2\n0 3 1 4\n0 1 1 9\n"
    for text in (rows, f"# a shop\n3 2\n{rows}", f"\n{rows}\n"):
        (tmp_path / "shop.txt").write_text(text)
        shop = read_instance(str(tmp_path / "shop.txt"))
        np.testing.assert_array_equal(shop.machines, [[1, 0], [0, 1], [0, 1]])
        np.testing.assert_array_equal(shop.times, [[5, 2], [3, 4], [1, 9]])


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "there is no job in it"),
        ("0 3 1 x\n0 1 1 1", "row 1, column 4: 'x' is not a whole number"),
        ("0 3 1 4\n0 1.5 1 1", "row 2, column 2: '1.5' is not a whole number"),
        ("0 3 1 4\n0 -1 1 1", "row 2, column 2: '-1' is not a whole number"),
        ("# shop\n2 2\n0 3 1 4\n0 1 0 1", "row 4: a job needs each machine from 0 to 1 once"),
        ("0 3 1 4\n0 1", "row 2: a job needs each machine"),
        ("0 3 1 4\n0 1 1", "row 2: a job needs each machine"),
        ("7", "row 1: a job needs each machine"),
        ("0 3 1 4\n0 2 1 0", "row 2, column 4: a time above 0"),
    ],
)
def test_what_is_no_job_shop_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "shop.txt"
    file.write_text(text)
    with pytest.raises(TaskError) as caught:
        read_instance(str(file))
    assert str(caught.value).startswith(f"{file}") and said in str(caught.value) and "\n" not in str(caught.value)
