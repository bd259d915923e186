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

    @property
    def own_file(self) -> str:
        """The path of a file that only this platform's manifests have."""
        return _OWN_FILES[self]


_OWN_FILES = {
    Platform.COMPOSE: "compose.yaml",
    Platform.KUBERNETES: "base/learner.yaml",
    Platform.JOBSET: "base/jobset.yaml",
    Platform.SLURM: "job.sbatch",
    Platform.TFJOB: "tfjob.yaml",
    Platform.VERTEX: "custom-job.yaml",
}
