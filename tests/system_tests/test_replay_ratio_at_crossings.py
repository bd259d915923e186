"""The replay ratio where a run goes from one process to a job of many, and back: an update is owed for every
`env_steps_per_update` transitions, wherever they were written, but for those that fill a replay anew.

The real classes count; environments, replay servers and learners are numbers.
"""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.commands import counters, tfdqn, write_config
from tests.support.random_episodes import VECTOR
from tests.support.replay_servers import config
from tfdqn.config import Config
from tfdqn.records import Counters
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.replay_ratio import Balance, ReplayRatio
from tfdqn.replay.reverb.remote_replay import RemoteReplay, RemoteReplayRatio
from tfdqn.replay.reverb.server import TABLE
from tfdqn.replay.reverb.shards import DistributedReplayRatio

CALL, STEPS_PER_UPDATE = 5, 4.0  # of `tests.support.tiny_runs.TINY`
LEG = 800  # transitions of a leg
CALLS_FETCHED_AHEAD = 2.3  # by a learner's dataset, and lost with it


class Server:
    """What a replay server counts; it answers as Reverb's client does."""

    def __init__(self) -> None:
        self.inserted = self.sampled = self.stored = 0

    def lose_everything(self) -> None:
        self.__init__()  # type: ignore[misc]

    def server_info(self, timeout: int) -> dict[str, Any]:
        counted = SimpleNamespace(
            insert_stats=SimpleNamespace(completed=self.inserted),
            sample_stats=SimpleNamespace(completed=self.sampled),
            samples_per_insert=1.0,
            min_size_to_sample=1,
            max_diff=math.inf,
        )
        return {TABLE: SimpleNamespace(rate_limiter_info=counted, current_size=self.stored)}


class Run:
    """A run of many legs, each `train` or a job, and what it has come to."""

    def __init__(self, settings: Config) -> None:
        self._settings, self._learner = settings, settings.learner
        self.servers = [Server() for _ in range(settings.replay.shards)]
        self.counters = Counters(transitions=0, exempt_transitions=0)
        self._stored = 0  # in the replay of the process that trains; none of it is left by a job
        self.min_size = DistributedReplayRatio(settings, make_item_kind(settings, VECTOR)).min_size
        self.filled = 0  # how often replay was filled

    def train(self) -> None:
        """A leg in one process."""
        is_empty = not self._stored
        self.filled += is_empty
        balance = Balance.saved(self.counters, self.min_size, self._stored, self._learner)
        if is_empty:
            balance = balance.with_empty_replay(self.min_size, self._learner)
        settings = self._learner
        ratio = ReplayRatio(self.min_size, settings.env_steps_per_update, settings.updates_per_call, balance=balance)
        end = balance.transitions + LEG
        while ratio.may_learn() or ratio.transitions < end:
            if ratio.may_learn():
                assert self._stored >= self.min_size
                ratio.learned(CALL)
            else:
                assert ratio.begin_to_act(4)
                ratio.acted(4, 4, 4)
                self._stored += 4
        self._keep(ratio.balance())

    def job(self) -> None:
        """A leg of many processes: actors insert as the servers let them, a learner samples ahead."""
        self._stored = 0
        self.filled += all(server.stored == 0 for server in self.servers)
        replay = RemoteReplay(self._settings, VECTOR, ["localhost:1"] * len(self.servers))
        for shard, server in zip(replay._shards.each, self.servers, strict=True):
            shard.client = server  # type: ignore[assignment]
        assert replay.poll()
        saved = Balance.saved(self.counters, self.min_size, replay.size(), self._learner)
        ratio = RemoteReplayRatio(replay, saved, self._settings, lambda: 0)
        end, sample = ratio.transitions + LEG, self._sampler()
        while self._insert(ratio.transitions < end) or ratio.wait_to_learn(0.0):
            while ratio.wait_to_learn(0.0):
                assert sum(server.stored for server in self.servers) * 4 >= self.min_size
                sample()
                ratio.learned(CALL)
        self._keep(ratio.balance())

    def made_too_many(self) -> float:
        """Updates made beyond those that were due; below zero: too few."""
        due = (self.counters.transitions - self.filled * self.min_size) / STEPS_PER_UPDATE
        return self.counters.train_steps - due

    def _insert(self, may: bool) -> bool:
        """A block on each server, if the ratio and the servers allow it."""
        limits = DistributedReplayRatio(self._settings, make_item_kind(self._settings, VECTOR)).limits()
        assert limits is not None
        for server in self.servers if may else ():
            may = may and (server.inserted + 1) * limits[0] - server.sampled <= limits[1]
        for server in self.servers if may else ():
            server.inserted += 1
            server.stored += 1
        return may

    def _sampler(self) -> Callable[[], None]:
        """A learner's dataset: it takes from all servers alike, and more than it has given."""
        blocks_a_call = CALL * self._learner.batch_size // (4 * len(self.servers))
        is_first = [True]

        def sample() -> None:
            for server in self.servers:
                ahead = int(CALLS_FETCHED_AHEAD * blocks_a_call) if is_first[0] else 0
                server.sampled += blocks_a_call + ahead
            is_first[0] = False

        return sample

    def _keep(self, balance: Balance) -> None:
        self.counters = Counters(
            transitions=balance.transitions, exempt_transitions=balance.exempt, train_steps=balance.train_steps
        )


LEGS = [
    "train job train job train",
    "job train job train job",
    "train train job job train train job job",
    "job job job train train train",
    "job lost job lost train job lost train train",
    "train lost train job lost job",
]


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("legs", LEGS)
def test_every_crossing_keeps_the_ratio_to_within_a_call(legs: str, shards: int) -> None:
    run = Run(config(f"replay.shards={shards}"))
    for leg in legs.split():
        if leg == "lost":
            run._stored = 0
            for server in run.servers:
                server.lose_everything()
            continue
        before = run.counters
        getattr(run, leg)()
        assert run.counters.transitions - before.transitions >= LEG
        assert -CALL <= run.made_too_many() <= 1, f"{legs}: after {leg} {run.counters}"


def test_one_of_two_servers_that_lost_everything_changes_nothing() -> None:
    run = Run(config("replay.shards=2"))
    run.job()
    run.servers[1].lose_everything()
    run.job()
    assert -CALL <= run.made_too_many() <= 1


def test_a_learner_that_went_back_owes_what_actors_are_held_back_by() -> None:
    """Else both would wait for ever: the servers let nobody insert before somebody samples."""
    run = Run(config())
    run.job()
    before = run.counters
    while run._insert(True):
        pass
    run.job()
    assert run.counters.train_steps > before.train_steps + LEG / STEPS_PER_UPDATE - CALL


@pytest.mark.parametrize("owed", [1_050, -7_950])
def test_what_an_older_version_left_out_of_balance_is_mended(owed: int) -> None:
    run = Run(config())
    run.train()
    settings, kept = run._settings.learner, run.counters
    old = Counters(transitions=kept.transitions + int(STEPS_PER_UPDATE * owed), train_steps=kept.train_steps)
    mended = Balance.saved(old, run.min_size, 1_000, settings)
    assert 0 <= mended.updates_owed(run.min_size, settings) <= 2 * CALL


def test_what_an_older_version_left_in_balance_is_the_same() -> None:
    settings = config().learner
    for kept, stored in (
        (Counters(), 0),
        (Counters(transitions=60), 60),
        (Counters(transitions=137, train_steps=5), 137),
    ):
        assert Balance.saved(kept, 100, stored, settings).exempt == 0


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    "legs", ["train launch train launch train", "launch train launch", "launch lost launch train lost launch"]
)
def test_real_processes_keep_it_too(tmp_path: Path, legs: str) -> None:
    settings = ("replay.shards=2", "evaluation.interval_env_steps=100_000")
    min_size, env_steps, fills, before, of_jobs = 104, 0, 0, "", tmp_path / "run" / "replay"
    for leg in legs.split():
        if leg == "lost":
            shutil.rmtree(of_jobs)
            continue
        # A job finds what the job before it held, `train` what `train` did just before.
        fills += before != leg if leg == "train" else not of_jobs.exists()
        before, env_steps = leg, env_steps + 2_000
        written = write_config(tmp_path, *settings, f"stop.env_steps={env_steps}")
        with tfdqn(tmp_path, leg, written, "--run-dir", "run") as process:
            assert process.ended_within(240), process.out
            assert process.ended() == 0, process.err
        found = counters(tmp_path / "run")
        due = (found.transitions - fills * min_size) / STEPS_PER_UPDATE
        assert abs(found.train_steps - due) < 2 * CALL, (leg, found)
        # But for windows and blocks that are not whole.
        assert abs(found.transitions - found.env_steps) < 0.05 * env_steps
