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
        return _TABLE[self][0]

    def start(self, folder: Path, name: str) -> str:
        """How to start the job `name` by the files in `folder`: words, and the command on a line of its own."""
        _, heading, command = _TABLE[self]
        file = shlex.quote(str(folder / self.own_file))
        return f"{heading} (docs/deploy.md):\n{command.format(folder=shlex.quote(str(folder)), file=file, name=name)}"


_APPLY = ("To start it, where the image can be pulled", "kubectl apply --kustomize {folder}")
_TABLE = {  # the own file, what starts the job, and the command
    Platform.COMPOSE: (
        "compose.yaml",
        "To start it, once the image is built",
        "docker compose --file {file} up --detach",
    ),
    Platform.KUBERNETES: ("base/learner.yaml", *_APPLY),
    Platform.JOBSET: ("base/jobset.yaml", *_APPLY),
    Platform.SLURM: ("job.sbatch", "To start it", "sbatch {file}"),
    Platform.TFJOB: ("tfjob.yaml", *_APPLY),
    Platform.VERTEX: (
        "custom-job.yaml",
        "To start it, once REGION here and the names in capitals in the file are replaced",
        "gcloud ai custom-jobs create --region=REGION --display-name={name} --config={file}",
    ),
}
