"""How many runs go side by side, and what each of them gets of the host."""

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.tuning.child_runs import default_jobs, slots

_ALTERNATE = ("learner.schedule=alternate", "replay.backend=in_graph")


@pytest.mark.parametrize(
    ("overrides", "cores", "gpus", "jobs"),
    [
        ((), 8, 0, 4),  # one core acts, one learns
        ((), 3, 0, 1),
        ((), 1, 0, 1),
        (_ALTERNATE, 8, 0, 8),
        (_ALTERNATE, 8, 2, 2),  # one on each GPU
        ((), 2, 8, 1),
        (("learner.strategy=multi_worker", "learner.workers=2"), 8, 0, 2),
        (("learner.strategy=parameter_server", "learner.workers=2"), 16, 0, 3),  # chief, server, two workers, acting
        (("task.vectorization=async", "task.num_envs=4"), 13, 0, 2),
    ],
)
def test_as_many_runs_go_at_a_time_as_find_the_cores_that_they_keep_busy(
    overrides: tuple[str, ...], cores: int, gpus: int, jobs: int
) -> None:
    assert default_jobs(tiny(*overrides), cores, gpus) == jobs


def test_cores_and_gpus_are_divided_among_those_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    alone = {"TF_CONFIG": None, "TF_NUM_INTRAOP_THREADS": "8"}
    assert slots(1, 8, ("a", "b")) == [alone]
    threads = {"TF_CONFIG": None, "TF_NUM_INTRAOP_THREADS": "2"}
    assert slots(3, 8, ()) == [threads] * 3
    visible = [each["CUDA_VISIBLE_DEVICES"] for each in slots(2, 8, ("a", "b", "c", "d", "e"))]
    assert visible == ["a,b", "c,d"]
    assert slots(3, 2, ("a", "b")) == [
        {
            "TF_CONFIG": None,
            "TF_NUM_INTRAOP_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": gpu,
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # whose memory is shared
        }
        for gpu in ("a", "b", "a")
    ]


def test_what_the_user_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert slots(2, 8, ())[0]["TF_NUM_INTRAOP_THREADS"] == "5"
