"""`Platform`: the platforms that manifests can be written for, by name, without their modules' imports."""

from enum import StrEnum


class Platform(StrEnum):
    """A platform that runs a job; the module of its name renders its files."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    JOBSET = "jobset"
    SLURM = "slurm"
    TFJOB = "tfjob"
    VERTEX = "vertex"
