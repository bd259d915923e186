"""`Platform`: the platforms that manifests can be written for, by name, without their modules' imports."""

import shlex
from enum import StrEnum
from pathlib import Path


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

    def start(self, folder: Path, name: str) -> str:
        """What starts the job, in words, and the command on a line of its own.

        Args:
          folder: of its files.
          name: the job's.
        """
        heading, command = _STARTS[self]
        file = shlex.quote(str(folder / self.own_file))
        return f"{heading} (docs/deploy.md):\n{command.format(folder=shlex.quote(str(folder)), file=file, name=name)}"


_OWN_FILES = {
    Platform.COMPOSE: "compose.yaml",
    Platform.KUBERNETES: "base/learner.yaml",
    Platform.JOBSET: "base/jobset.yaml",
    Platform.SLURM: "job.sbatch",
    Platform.TFJOB: "tfjob.yaml",
    Platform.VERTEX: "custom-job.yaml",
}
_APPLY = ("To start it, where the image can be pulled", "kubectl apply --kustomize {folder}")
_STARTS = {
    Platform.COMPOSE: ("To start it, once the image is built", "docker compose --file {file} up --detach"),
    Platform.KUBERNETES: _APPLY,
    Platform.JOBSET: _APPLY,
    Platform.SLURM: ("To start it", "sbatch {file}"),
    Platform.TFJOB: _APPLY,
    Platform.VERTEX: (
        "To start it, once REGION here and the names in capitals in the file are replaced",
        "gcloud ai custom-jobs create --region=REGION --display-name={name} --config={file}",
    ),
}
