"""What has changed in a task is said in words, of the parts that differ alone."""

import pytest
from msgspec.structs import replace

from tfdqn.task_differences import differences
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

CARGO = ArraySpec(shape=(2,), dtype="float32")
IMAGE = ArraySpec(shape=(4, 4, 1), dtype="float32", high=(255.0,))
RUN = TaskSpec(id="Lake-v1", observation={"cargo": CARGO, "image": IMAGE}, actions=discrete(4))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"t": ArraySpec(shape=(1,), dtype="float32")}, 'observation "t" is float32[1], not absent'),
        ({"cargo": replace(CARGO, dtype="int32")}, 'observation "cargo" is int32[2], not float32[2]'),
        ({"cargo": replace(CARGO, bounds=((0.0, 1.0),))}, ""),
        ({"image": replace(IMAGE, high=(10.0,))}, 'observation "image": high is (10.0,), not (255.0,)'),
    ],
)
def test_only_the_parts_of_an_observation_that_differ_are_named(changed: dict[str, ArraySpec], said: str) -> None:
    assert differences(RUN, replace(RUN, observation=RUN.observation | changed)) == said


def test_a_part_that_is_gone_is_absent() -> None:
    assert (
        differences(RUN, replace(RUN, observation={"image": IMAGE})) == 'observation "cargo" is absent, not float32[2]'
    )
