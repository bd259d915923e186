"""`Platform`: what a job's manifest can be written for; the command line reads it before any of their modules."""

from enum import StrEnum


class Platform(StrEnum):
    """What runs the job; each has the module of its name."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    JOBSET = "jobset"
    SLURM = "slurm"
    TFJOB = "tfjob"
    VERTEX = "vertex"
