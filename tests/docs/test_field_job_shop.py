"""The comparison of docs/fields/scheduling.md for job shops: dispatching rules by hand, and published makespans."""

import numpy as np
import pytest

from examples.fields.job_shop import RULES, compare, dispatched
from tfdqn.tasks.fields.job_shop import JobShop, read_instance

# Each job needs machine 0, then machine 1: job 0 for 4 and 1, job 1 for 2 and 2, job 2 for 3 and 6.
THREE = JobShop(np.array([[0, 1]] * 3), np.array([[4, 1], [2, 2], [3, 6]]))


def test_rules_by_hand() -> None:
    """All three wait for machine 0 at first.

    SPT: 1 to 2, 2 to 5, 0 to 9; machine 1 has 1 from 2 to 4, 2 from 5 to 11, 0 from 11 to 12.
    FIFO, by number where all have waited alike: 0 to 4, 1 to 6, 2 to 9; machine 1 ends with 2, from 9 to 15.
    MWKR, of 5, 4 and 9: 2 to 3, 0 to 7, 1 to 9; machine 1 has 2 from 3 to 9, 0 to 10, 1 to 12. At 9 both wait, 1 with
    more work left: 1 to 11, 0 to 12.
    """
    found = {name: dispatched(THREE, rule) for name, rule in RULES.items()}
    assert found == {"SPT": 12, "FIFO": 15, "MWKR": 12}


def test_a_machine_does_not_wait_for_a_better_operation() -> None:
    """Job 0 takes machine 0 at once, for 9; job 1, which has more work, comes there at 1 and waits till 9."""
    shop = JobShop(np.array([[0, 1], [1, 0]]), np.array([[9, 1], [1, 20]]))
    assert dispatched(shop, RULES["MWKR"]) == 29


def test_work_that_is_left_includes_the_operation_itself() -> None:
    """Of 6 and 5 the first: job 0 to 5, job 1 to 7 and from there to 10. Without it, of 1 and 3, it would be 8."""
    shop = JobShop(np.array([[0, 1], [0, 1]]), np.array([[5, 1], [2, 3]]))
    assert dispatched(shop, RULES["MWKR"]) == 10


def test_makespans_of_known_shops() -> None:
    """Within the published range of each rule, whose ties are broken differently: ft06 by SPT 88, la01 by SPT 751."""
    assert dispatched(read_instance("ft06"), RULES["SPT"]) == 88
    assert dispatched(read_instance("la01"), RULES["SPT"]) == 751
    for name, least in (("ft06", 55), ("la01", 666)):
        for rule in RULES.values():
            assert least <= dispatched(read_instance(name), rule) <= 1.7 * least


@pytest.mark.tasks
def test_a_policy_is_compared_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.fields.job_shop.RANDOM_SCHEDULES", 5)
    asked: list[int] = []

    def first(observation: np.ndarray, legal: np.ndarray) -> int:
        asked.append(int(legal.sum()))
        return int(np.argmax(legal))

    found = compare(first, "ft06")
    assert asked == [6] * 6 + [5] * 6 + [4] * 6 + [3] * 6 + [2] * 6 + [1] * 6
    assert found["learned"]["makespan"] >= 55
    assert found["optimum"] == {"makespan": 55, "times the optimum": 1.0}
    assert found["SPT"] == {"makespan": 88, "times the optimum": 1.6}
    assert found["random, best of 5"]["makespan"] <= found["random, mean of 5"]["makespan"]
