"""Chaos: a launched job whose processes are killed or stopped at random, seeded; what must hold of it at its end.

    python -m tests.support.chaos --seed 1 --kills 20 --parameter-servers 1 --actors 2 --replay-servers 2

The supervisor is spared: its end is the job's. Kills are spread over the run by the environment steps that were taken,
and none comes before the job has learned on since the last one.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.support.commands import PROJECT
from tests.support.launched_jobs import Job, job
from tfdqn.cluster.roles import ProcessId
from tfdqn.config.toml import load
from tfdqn.coordination.heartbeat_files import heartbeat_file, read_heartbeat
from tfdqn.coordination.messages import Inspection
from tfdqn.records import EpisodeScores
from tfdqn.storage.run_records import read_summary
from tfdqn.system.addresses import is_free

PATIENCE_SECONDS = 600.0  # without any progress
END_SECONDS = 300.0
_LOOK_SECONDS = 0.25
_PART_OF_THE_RUN = 0.8  # in which the kills come
_UPDATES_BETWEEN = 20
_SAMPLE_SECONDS = 2.0
_MORE_FILES = 6  # connections come and go
_SAMPLES = 20  # a life that was shorter says nothing


class Death(NamedTuple):
    """What was done to whom."""

    env_steps: int
    process_id: ProcessId
    how: signal.Signals


class Outcome(NamedTuple):
    """How it ended."""

    deaths: list[Death]
    final: EpisodeScores | None
    open_files: dict[str, list[int]]  # of each life that lasted: how many, every two seconds


class OpenFiles:
    """How many file descriptors each process of a job has, sampled now and then."""

    def __init__(self) -> None:
        self._samples: dict[str, list[int]] = {}

    def sample(self, name: str, pid: int) -> None:
        """Nothing, where it has ended meanwhile."""
        try:
            count = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return
        self._samples.setdefault(f"{name} {pid}", []).append(count)

    def of_those_that_lasted(self) -> dict[str, list[int]]:
        """By "name pid"."""
        return {life: counts for life, counts in self._samples.items() if len(counts) >= _SAMPLES}


def is_growing(counts: Sequence[int]) -> bool:
    """Whether a process has had more files open in the last quarter of its life than ever before.

    Not the half: it may have waited for long until it found others to connect to.
    """
    last = 3 * len(counts) // 4
    return max(counts[last:]) > max(counts[:last]) + _MORE_FILES


class Chaos:
    """Kills in a job that is under way.

    Args:
      seed: of who, how and when.
      kills: how many.
      total_env_steps: of the whole run.
    """

    def __init__(self, running: Job, seed: int, kills: int, total_env_steps: int):
        self._job, self._random = running, random.Random(seed)
        self._kills, self._interval = kills, _PART_OF_THE_RUN * total_env_steps / kills
        self.deaths: list[Death] = []
        self.open_files = OpenFiles()
        self._sampled_seconds = float("-inf")

    def run(self) -> None:
        """Until all kills are done. Raises AssertionError where the job does not go on."""
        due = 0.0
        for _ in range(self._kills):
            due += self._interval * self._random.uniform(0.5, 1.4)
            seen = self._until_learned_on(due)
            self._kill_one(seen.env_steps)

    def _until_learned_on(self, due_env_steps: float) -> Inspection:
        """Waits for so many environment steps, and for updates since the last kill, by whichever learner."""
        first: Inspection | None = None
        last: Inspection | None = None
        progressed = time.monotonic()
        while True:
            self._look()
            seen = self._job.inspection()
            if seen is not None and seen != last:
                assert seen.phase == "training", f"over after {len(self.deaths)} of {self._kills} kills"
                if last is None or seen.train_steps != last.train_steps:
                    progressed = time.monotonic()
                if first is None or seen.train_steps < first.train_steps:  # another life of the learner
                    first = seen
                last = seen
                learned = seen.train_steps - first.train_steps
                if seen.env_steps >= due_env_steps and learned >= _UPDATES_BETWEEN:
                    return seen
            quiet = time.monotonic() - progressed
            assert quiet < PATIENCE_SECONDS, f"no update for {quiet:.0f} s after {self.deaths[-1:]}"
            time.sleep(_LOOK_SECONDS)

    def _kill_one(self, env_steps: int) -> None:
        process_id = self._random.choice(self._job.topology.process_ids())
        how = self._random.choice([signal.SIGKILL, signal.SIGSTOP])
        while (pid := self._pids().get(process_id)) is None:  # it is being started again
            self._look()
            time.sleep(_LOOK_SECONDS)
        with suppress(ProcessLookupError):  # it has just died by itself
            os.kill(pid, how)
        self.deaths.append(Death(env_steps, process_id, how))
        print(f"{len(self.deaths)}: {process_id} {how.name} at {env_steps:,} steps", flush=True)

    def _look(self) -> None:
        assert self._job.process.is_running, f"the job has ended: {self._job.process.out}"
        if time.monotonic() - self._sampled_seconds < _SAMPLE_SECONDS:
            return
        self._sampled_seconds = time.monotonic()
        self.open_files.sample("supervisor", self._job.process.pid)
        for process_id, pid in self._pids().items():
            self.open_files.sample(str(process_id), pid)

    def watch_until_the_end(self) -> int:
        """Of the job; its exit status."""
        deadline = time.monotonic() + PATIENCE_SECONDS + END_SECONDS
        while not self._job.process.ended_within(_LOOK_SECONDS):
            if self._job.process.is_running:
                self._look()
            assert time.monotonic() < deadline, f"the job does not end: {self._job.process.out}"
        return self._job.process.ended()

    def _pids(self) -> dict[ProcessId, int]:
        """Of those who live and have given a heartbeat."""
        alive = set(self._job.process.relatives())
        heartbeats = {
            process_id: read_heartbeat(heartbeat_file(process_id, self._job.run.heartbeats))
            for process_id in self._job.topology.process_ids()
        }
        return {
            process_id: each.pid for process_id, each in heartbeats.items() if each is not None and each.pid in alive
        }


def chaos(folder: Path, config: Path, seed: int, kills: int, *arguments: str) -> Outcome:
    """Launches a job in `folder`, and does all of it. Raises AssertionError where something does not hold.

    Args:
      config: a configuration that ends by `stop.env_steps`.
      arguments: of `tfdqn launch`, besides.
    """
    overrides = [each for each in arguments if "=" in each and not each.startswith("--")]
    total = load(config, overrides).stop.env_steps
    with job(folder, str(config.resolve()), *arguments) as running:
        running.until(running.run.cluster_file.exists, "cluster file")
        running.until_learning()
        made = Chaos(running, seed, kills, total)
        made.run()
        status = made.watch_until_the_end()
        assert status == 0, f"{running.process.out}\n{running.process.err}"
        assert running.process.relatives() == [], "orphans"
        topology = running.topology
        serving = [topology.learner, topology.chief, *topology.replay_server]
        serving += [*topology.worker, *topology.parameter_server]
        left = [address for address in serving if address and not is_free(address)]
        assert not left, f"still served: {left}"
        crashed = [process_id for process_id in topology.process_ids() if "Traceback" in running.log(process_id)]
        assert not crashed, f"a death of others is no crash: {', '.join(map(str, crashed))}"
        open_files = made.open_files.of_those_that_lasted()
        growing = {life: counts for life, counts in open_files.items() if is_growing(counts)}
        assert not growing, f"more and more open files: {growing}"
        summary = read_summary(running.run.summary_file)
        assert summary is not None
        return Outcome(made.deaths, summary.final, open_files)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--config", type=Path, default=PROJECT / "configs" / "cartpole.toml")
    parser.add_argument("--folder", type=Path, help="where the run is kept; a temporary one if not given")
    known, arguments = parser.parse_known_args(given)
    with tempfile.TemporaryDirectory() as temporary:
        folder = known.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = chaos(folder, known.config, known.seed, known.kills, *arguments)
    for name, counts in outcome.open_files.items():
        last = 3 * len(counts) // 4
        print(f"{name}: at most {max(counts[:last])} open files, in its last quarter {max(counts[last:])}")
    mean = None if outcome.final is None else outcome.final.mean_return
    print(f"{len(outcome.deaths)} deaths; final mean return {mean}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
