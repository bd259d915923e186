"""What saving a large replay takes, which is what a process needs between SIGTERM and its end.

python -m benchmarks.saving [--gigabytes 0.25 1 4] [--directory DIR]
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import argument_parser, report
from tfdqn.config import DQN, Config, Learner
from tfdqn.config import Replay as ReplayConfig
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Replay
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience, Step

NUM_ENVS, NUMBERS = 32, 1024
BYTES = 2 * 4 * NUMBERS  # of a transition: an observation at both ends; the rest is small
WIDE = TaskSpec(
    id="Wide-v0", observation={"observation": ArraySpec(shape=(NUMBERS,), dtype="float32")}, actions=discrete(2)
)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.25, 1.0, 4.0])
    parser.add_argument("--directory", type=Path, help="on the disk in question; the system's temporary one")
    options = parser.parse_args()
    results = {
        f"{gigabytes:g} GB": _seconds(int(gigabytes * 1e9 / BYTES), options.directory)
        for gigabytes in options.gigabytes
    }
    report("saving", {"bytes_per_transition": BYTES}, results)


def _seconds(transitions: int, directory: Path | None) -> dict[str, float]:
    config = Config(
        agent=DQN(n_step=1),
        learner=Learner(batch_size=128),
        replay=ReplayConfig(backend="reverb", block_size=32, capacity=transitions, min_size=1_000),
    )
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        workspace, target = Path(folder, "workspace"), Path(folder, "checkpoint")
        workspace.mkdir()
        target.mkdir()
        replay = make_replay(config, WIDE, workspace)
        _fill(replay, transitions)
        start = time.perf_counter()
        replay.save(target)
        saved = time.perf_counter() - start
        written = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        replay.close()
        other = make_replay(config, WIDE, workspace)
        start = time.perf_counter()
        other.restore(target)
        restored = time.perf_counter() - start
        other.close()
    return {"saved_seconds": saved, "restored_seconds": restored, "written_gigabytes": written / 1e9}


def _fill(replay: Replay, transitions: int) -> None:
    writer = replay.writer(NUM_ENVS)
    nowhere = np.zeros(NUM_ENVS, bool)
    actions = np.zeros(NUM_ENVS, np.int32)
    rng = np.random.default_rng(0)
    for _ in range(transitions // NUM_ENVS + 2):
        observation = {"observation": rng.standard_normal((NUM_ENVS, NUMBERS), np.float32)}  # hardly compresses
        step = Step(observation, np.ones(NUM_ENVS, np.float32), nowhere, nowhere, nowhere, None)
        writer.write(Experience(observation, None, actions, step))


if __name__ == "__main__":
    main()
