"""`JobSpec`: what a manifest is made of, and what every container of a job has in common on all platforms."""

import re
from collections.abc import Callable
from hashlib import sha256

import yaml
from msgspec import Struct
from msgspec.structs import replace

from tfdqn.cluster.program import Program, make_program, topology_on_hosts
from tfdqn.cluster.roles import TRAITS, ProcessId, Role, process_counts
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError
from tfdqn.storage.run_directory import RunDir

USER = 10001  # of every process, and its group
# A container's: as its process 1 tini hands signals on at any moment, and reaps orphans.
COMMAND = ("tini", "--", "tfdqn")
CONFIG_FILE = "/etc/tfdqn/config.toml"
CLUSTER_FILE = "/etc/tfdqn/cluster.json"
STORAGE = "/var/lib/tfdqn"  # where a volume is mounted
RUN_DIR = f"{STORAGE}/run"
# The root is read-only: what libraries write besides goes to /tmp, in memory.
ENVIRONMENT = {"HOME": "/tmp", "TFDQN_BEATS": "/tmp/beats"}
CUDA_CACHE = f"{STORAGE}/cuda"
TENSORBOARD_PORT = 6006
TENSORBOARD_ARGUMENTS = (
    *("--logdir", str(RunDir(RUN_DIR).logs)),
    *("--host", "0.0.0.0", "--port", str(TENSORBOARD_PORT)),
)
READER_GRACE_SECONDS = 30  # of what only shows the run
# A platform counts its own pauses and hooks, too.
_GRACE_MARGIN_SECONDS = 20
# Of a job's name. The longest label made of it has 63 at most: NAME-ROLE and a StatefulSet's revision, of ten digits.
_LABEL_CHARACTERS = 32
# What YAML 1.2, or Go's reader of 1.1, takes for a number or a truth, and PyYAML writes without quotes.
_NOT_TEXT = r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+|[yYnN]"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:))(?::\d+)?"
_IMAGE = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@\w+:[0-9a-fA-F]{{32,}})?"
HEADER = "# Written by `tfdqn manifest`. To change the number of processes or the configuration, run it again.\n"


def environment(gpus: int, cache: str = CUDA_CACHE) -> dict[str, str]:
    """A container's variables. What the driver compiles for its GPUs goes to `cache`, which is no memory."""
    return ENVIRONMENT | ({"CUDA_CACHE_PATH": cache} if gpus else {})


class Scale(Struct, frozen=True, kw_only=True):
    """How many times what a small task needs."""

    cpus: float = 1
    memory: float = 1
    storage: float = 1


class JobSpec(Struct, frozen=True, kw_only=True):
    """What is to be run.

    Args:
      name: of the job: a DNS label.
      config: the whole configuration; it says how many processes there are.
      image: that every container is made from.
      cuda_image: that it is where there are GPUs, if another.
      gpus: for each process that computes gradients.
      scale: of what processes and volumes are given.
      queue: of Kueue, which decides when the job begins.
    """

    name: str
    config: Config
    image: str
    cuda_image: str = ""
    has_evaluator: bool = True
    gpus: int = 0
    queue: str = ""
    scale: Scale = Scale()

    @property
    def container_image(self) -> str:
        """Of every container."""
        return (self.cuda_image if self.gpus else "") or self.image

    @property
    def config_toml(self) -> str:
        """The configuration, overrides and all: no process needs further ones."""
        return dump(self.config)

    def program(self, host: Callable[[ProcessId], str]) -> Program:
        """Every process, where each that serves has a host of its own. Raises ConfigError.

        Args:
          host: the name by which the others find a process's host.
        """
        topology = topology_on_hosts(self.config, host, has_evaluator=self.has_evaluator)
        files = {"config_file": CONFIG_FILE, "cluster_file": CLUSTER_FILE}
        return make_program(self.config, topology, **files, run_dir=RUN_DIR)

    @property
    def has_chief(self) -> bool:
        """Whether the learner serves `tf.distribute`, too: where there are workers."""
        return process_counts(self.config)[Role.WORKER] > 0

    def gpus_of(self, role: Role) -> int:
        """For each process of a role."""
        return self.gpus if TRAITS[role].computes_gradients(self.config) else 0

    def health_arguments(self, role: Role | None = None, index: int | str = 0) -> tuple[str, ...]:
        """After `tfdqn`: whether a process lives, or the only one of a container."""
        which = () if role is None else (str(role), "--task", str(index))
        return ("health", *which, "--within", str(self.config.health.dead_after_seconds))


def with_gpus(spec: JobSpec, gpus: int) -> JobSpec:
    """With so many for each process that computes gradients, which refuses to learn without them."""
    learner = replace(spec.config.learner, min_gpus=gpus)
    return replace(spec, gpus=gpus, config=replace(spec.config, learner=learner))


def grace_seconds(role: Role) -> int:
    """From being asked to end until a platform may kill a process."""
    return TRAITS[role].grace_seconds + _GRACE_MARGIN_SECONDS


def check_image(name: str) -> None:
    """Raises ConfigError for what can't be an image's name (the grammar of the OCI distribution's references)."""
    if not re.fullmatch(_IMAGE, name):
        raise ConfigError(
            f'--image "{name}": an image is HOST/PATH/NAME:TAG or NAME@sha256:…, its path in lower case, without spaces'
        )


def dns_label(text: str) -> str:
    """`text` as a name that networks allow, short enough to have a role's name and an index added.

    Where letters of it had to go, a part of its hash tells it from others that are alike but for those.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if label[:1].isdigit():
        label = f"job-{label}"
    if len(label) > _LABEL_CHARACTERS or not text.isascii() or not label:
        digest = sha256(text.encode(errors="surrogateescape")).hexdigest()[:6]
        label = f"{label[: _LABEL_CHARACTERS - 7].rstrip('-') or 'job'}-{digest}"
    return label


def to_yaml(*documents: object, header: str = HEADER) -> str:
    """YAML, keys in the order given, texts of several lines as such."""
    return header + yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice twice, and text of several lines as a block."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if re.fullmatch(_NOT_TEXT, text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
