"""Atari's frames: agent steps/s of the games alone, and with each frame written once; what a million of them take.

python -m benchmarks.frames [--task ALE/Pong-v5] [--num-envs 8] [--n-step 3] [--steps 20000]

Random actions. The memory is this process's, Reverb's server in it: how much more it has after so many steps.
"""

import time

import numpy as np
import psutil

from benchmarks.measure import argument_parser, report, use_one_thread
from tfdqn.config import DQN, Config, Replay, Task
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Writer
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task
from tfdqn.types import Experience


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--task", default="ALE/Pong-v5")
    parser.add_argument("--num-envs", type=int, default=8)
    parser.add_argument("--n-step", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20_000, help="agent steps of each measurement")
    options = parser.parse_args()
    use_one_thread()
    config = Config(
        task=Task(id=options.task, num_envs=options.num_envs, frame_stack=4),
        agent=DQN(n_step=options.n_step),
        replay=Replay(item="frames", capacity=1_000_000, min_size=1),
    )
    task = make_task(config.task)
    task.reset(0)
    alone = _play(task, None, options.steps)
    replay = make_replay(config, task.spec)
    writer = replay.writer(task.num_envs)
    _play(task, writer, 1_000)
    before = psutil.Process().memory_info().rss
    written = _play(task, writer, options.steps)
    used = psutil.Process().memory_info().rss - before
    replay.close()
    task.close()
    report(
        "frames",
        vars(options),
        {
            "task alone, steps/s": alone,
            "with frames written, steps/s": written,
            "GB/million": used / options.steps / 1e3,
        },
    )


def _play(task: BatchedTask, writer: Writer | None, steps: int) -> float:
    """Agent steps/s."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(steps // task.num_envs):
        observation = task.observation
        actions = rng.integers(0, task.spec.num_actions[0], task.num_envs).astype(np.int32)
        step = task.step(actions)
        if writer is not None:
            writer.write(Experience(observation, None, actions, step))
    return steps / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
