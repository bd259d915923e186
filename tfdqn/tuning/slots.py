"""What runs that go side by side on this host get of it: how many there are, and the threads and GPUs of each."""

import os
from collections.abc import Mapping

from tfdqn.cluster.tf_config import VARIABLE, tensorflow_jobs
from tfdqn.config import Config
from tfdqn.system.gpus import gpu_shares

# How many threads TensorFlow gives one operation where `learner.threads` leaves it to TensorFlow.
_THREADS = "TF_NUM_INTRAOP_THREADS"


def default_jobs(config: Config, cores: int, gpus: int) -> int:
    """How many runs go side by side: as many as find the cores that each keeps busy, and, where there are GPUs, one.

    A run keeps a core busy for each process that computes gradients, one for acting where that overlaps with learning,
    and one for each environment that has a process of its own.
    """
    busy = max(1, sum(tensorflow_jobs(config).values()))
    busy += config.learner.schedule == "overlap"
    busy += config.task.num_envs if config.task.vectorization == "async" else 0
    return max(1, min(cores // busy, gpus or cores))


def slots(jobs: int, cores: int, gpus: tuple[str, ...]) -> list[Mapping[str, str | None]]:
    """The environment variables of each of so many runs: its share of the cores and GPUs, and no `TF_CONFIG`.

    Cores are shared by limiting threads, which no key of the run's says: it stays one of the same configuration. What
    the user has set stands.
    """
    threads = os.environ.get(_THREADS) or str(max(1, cores // jobs))
    return [{VARIABLE: None, _THREADS: threads, **share} for share in gpu_shares(gpus, jobs)]
