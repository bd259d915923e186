"""How many runs are trained in parallel on this host, and the threads and GPUs of each."""

import os
from collections.abc import Mapping

from tfdqn.cluster.tf_config import VARIABLE, tensorflow_jobs
from tfdqn.config import Config
from tfdqn.system.processors import gpu_shares

# TensorFlow's variable for the number of threads of one operation; `learner.threads` overrides it.
_THREADS = "TF_NUM_INTRAOP_THREADS"


def default_jobs(config: Config, cores: int, gpus: int) -> int:
    """How many runs are trained in parallel by default: as many as there are cores for, and at most one per GPU.

    A run keeps busy a core for each process that computes gradients, one for acting if that overlaps with learning, and
    one for each environment in a process of its own.
    """
    busy = max(1, sum(tensorflow_jobs(config).values()))
    busy += config.learner.schedule == "overlap"
    busy += config.task.num_envs if config.task.vectorization == "async" else 0
    return max(1, min(cores // busy, gpus or cores))


def slots(jobs: int, cores: int, gpus: tuple[str, ...]) -> list[Mapping[str, str | None]]:
    """The environment variables of each of `jobs` runs: its share of the cores and GPUs, and no `TF_CONFIG`.

    Cores are shared by limiting threads; by a variable, not by a key, so that the run's configuration stays the same. A
    limit that the user has set is kept.
    """
    threads = os.environ.get(_THREADS) or str(max(1, cores // jobs))
    return [{VARIABLE: None, _THREADS: threads, **share} for share in gpu_shares(gpus, jobs)]
