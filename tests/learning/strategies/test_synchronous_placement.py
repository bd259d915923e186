"""What the devices of several replicas send one another in a call: their parts of the sample come straight from the
host, and nothing is sent update by update that need not be.

Parts of a CPU stand for two GPUs and their host.
"""

import json

from tests.support.parity_runs import forked

HOST, FIRST, SECOND = "CPU:0", "CPU:1", "CPU:2"
# Of what is sampled, actions apart: integers of 32 bits stay on the host.
PARTS = {
    f"{HOST} to {device}: GatherV2": len(("observation", "next observation", "reward", "discount"))
    for device in (FIRST, SECOND)
}
# Read by the optimizer of every replica where the first keeps them: learning rate, two decays, the count of updates.
SETTINGS = {f"{FIRST} to {SECOND}: ReadVariableOp": 4}


def sent(*overrides: str) -> dict[str, int]:
    return json.loads(forked([({}, ["placed_updates", "3", *overrides])]))


def test_a_mirrored_replica_gets_its_part_from_the_host_and_gives_one_row() -> None:
    assert sent("learner.strategy=mirrored") == PARTS | SETTINGS | {f"{SECOND} to {FIRST}: Pack": 1}


def test_a_part_that_was_fetched_ahead_stays_where_it_is() -> None:
    fetched = sent("learner.strategy=mirrored", "learner.prefetch_to_device=true")
    assert fetched == SETTINGS | {f"{SECOND} to {FIRST}: Pack": 1}


def test_replicas_that_average_send_one_vector_of_all_weights_each_way() -> None:
    own = ("learner.workers=1", "learner.logical_devices=2", "learner.averaging_period_train_steps=5")
    mean = {f"{SECOND} to {FIRST}: ConcatV2": 1, f"{FIRST} to {SECOND}: Mul": 1}
    assert sent("learner.strategy=averaging", *own) == PARTS | mean | {f"{SECOND} to {FIRST}: Identity": 1}
