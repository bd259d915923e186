"""`JobSpec`: the job that a manifest describes; and what its containers have in common on all platforms."""

import re
from collections.abc import Callable
from hashlib import sha256

import yaml
from msgspec import Struct
from msgspec.structs import replace

from tfdqn.cluster.program import CHIEF_PORT, PORT, Program, make_program, topology_on_hosts
from tfdqn.cluster.roles import TRAITS, ProcessId, Role, process_counts
from tfdqn.config import Config
from tfdqn.config.toml import dump, flat
from tfdqn.errors import ConfigError
from tfdqn.storage.run_directory import RunDir

USER = 10001  # the user and the group of every process
COMMAND = ("tini", "--", "tfdqn")  # a container's command: tini as process 1 forwards signals and reaps orphans
CONFIG_FILE = "/etc/tfdqn/config.toml"
CLUSTER_FILE = "/etc/tfdqn/cluster.json"
STORAGE = "/var/lib/tfdqn"  # where a volume is mounted
RUN_DIR = f"{STORAGE}/run"
# The root is read-only, so what libraries write goes to /tmp, which is in memory.
ENVIRONMENT = {"HOME": "/tmp", "TFDQN_BEATS": "/tmp/beats"}
CUDA_CACHE = f"{STORAGE}/cuda"
TENSORBOARD_PORT = 6006
TENSORBOARD_ARGUMENTS = (
    *("--logdir", str(RunDir(RUN_DIR).logs)),
    *("--host", "0.0.0.0", "--port", str(TENSORBOARD_PORT)),
)
READER_GRACE_SECONDS = 30  # the grace period of what only shows the run
_GRACE_MARGIN_SECONDS = 20  # for the platform's own pauses and hooks, which count towards a grace period
# The longest name of a job. Labels have at most 63 characters; the longest is NAME-ROLE with a StatefulSet's revision,
# of ten digits.
_LABEL_CHARACTERS = 32
# Text that YAML 1.2, or Go's reader of 1.1, takes for a number or a boolean although PyYAML writes it without quotes.
_NOT_TEXT = r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+|[yYnN]"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:))(?::\d+)?"
_IMAGE = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@\w+:[0-9a-fA-F]{{32,}})?"
_NAMES_MODULE = r"task\.id|replay\.item|\w+\.kind"  # a key whose value may be "my_package.my_module:name"
HEADER = "# Written by `tfdqn manifest`. To change the number of processes or the configuration, run it again.\n"


def environment(gpus: int, cache: str = CUDA_CACHE) -> dict[str, str]:
    """A container's environment variables; with GPUs, the driver caches what it compiles in the folder `cache`."""
    return ENVIRONMENT | ({"CUDA_CACHE_PATH": cache} if gpus else {})


class Scale(Struct, frozen=True, kw_only=True):
    """The factors by which a job gets more than the resources in `cluster.roles.TRAITS`."""

    cpus: float = 1
    memory: float = 1
    storage: float = 1


class JobSpec(Struct, frozen=True, kw_only=True):
    """The job to run."""

    name: str  # of the job, a DNS label
    config: Config  # whole; it says how many processes there are
    image: str  # of every container
    cuda_image: str = ""  # the image of every container if there are GPUs; "": `image`
    has_evaluator: bool = True
    gpus: int = 0  # how many each process that computes gradients gets
    queue: str = ""  # the local queue of Kueue that admits the job; "": the job begins at once
    scale: Scale = Scale()  # of the resources of processes and volumes

    @property
    def container_image(self) -> str:
        """The image of every container."""
        return (self.cuda_image if self.gpus else "") or self.image

    @property
    def config_toml(self) -> str:
        """The whole configuration as TOML, with the overrides of the command line."""
        return dump(self.config)

    @property
    def own_modules(self) -> list[tuple[str, str]]:
        """(key, module) of each module of the user's own that the configuration names: ("task.id", "my_envs")."""
        named = {key: each for key, each in flat(self.config).items() if re.fullmatch(_NAMES_MODULE, key)}
        return [(key, each.rpartition(":")[0]) for key, each in named.items() if ":" in each]

    def program(self, host: Callable[[ProcessId], str]) -> Program:
        """The processes of the job, where each that serves has a host of its own, which `host` names.

        Raises ConfigError if the configuration can't be run by many processes.
        """
        topology = topology_on_hosts(self.config, host, has_evaluator=self.has_evaluator)
        files = {"config_file": CONFIG_FILE, "cluster_file": CLUSTER_FILE}
        return make_program(self.config, topology, **files, run_dir=RUN_DIR)

    def ports(self, role: Role) -> dict[str, int]:
        """The ports of each process of a role on a host of its own, by name; {} if it doesn't serve.

        With workers, the learner is also the chief of a `tf.distribute` cluster.
        """
        is_chief = role is Role.LEARNER and process_counts(self.config)[Role.WORKER] > 0
        return ({"job": PORT} if TRAITS[role].serves else {}) | ({"chief": CHIEF_PORT} if is_chief else {})

    def gpus_of(self, role: Role) -> int:
        """How many GPUs each process of a role gets."""
        return self.gpus if TRAITS[role].computes_gradients(self.config) else 0

    def health_arguments(self, role: Role | None = None, index: int | str = 0) -> tuple[str, ...]:
        """The arguments of `tfdqn` that check a process's heartbeat; None: that of the only one in the container."""
        which = () if role is None else (str(role), "--index", str(index))
        return ("health", *which, "--within", str(self.config.health.dead_after_seconds))


def with_gpus(spec: JobSpec, gpus: int) -> JobSpec:
    """The job with `gpus` for each process that computes gradients; these refuse to learn with fewer."""
    learner = replace(spec.config.learner, min_gpus=gpus)
    return replace(spec, gpus=gpus, config=replace(spec.config, learner=learner))


def grace_seconds(role: Role) -> int:
    """The seconds that a platform must give a process between asking it to end and killing it."""
    return TRAITS[role].grace_seconds + _GRACE_MARGIN_SECONDS


def check_image(name: str) -> None:
    """Raises ConfigError for what is no image's name, by the grammar of OCI references (distribution/reference)."""
    if not re.fullmatch(_IMAGE, name):
        raise ConfigError(
            f'--image "{name}": an image is HOST/PATH/NAME:TAG or NAME@sha256:…, its path in lower case, without spaces'
        )


def dns_label(text: str) -> str:
    """`text` as a DNS label, short enough for a role's name and an index to be added.

    If more had to be changed than an underscore to a hyphen, a part of its hash is added, so that labels of different
    texts differ.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if label[:1].isdigit():
        label = f"job-{label}"
    if len(label) > _LABEL_CHARACTERS or label != text.replace("_", "-") or not label:
        digest = sha256(text.encode(errors="surrogateescape")).hexdigest()[:6]
        label = f"{label[: _LABEL_CHARACTERS - 7].rstrip('-') or 'job'}-{digest}"
    return label


def to_yaml(*documents: object, header: str = HEADER) -> str:
    """The documents as YAML, with keys in the order given, and strings of several lines as blocks."""
    return header + yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )


class _Dumper(yaml.SafeDumper):
    """Writes without aliases, with indented lists, and strings of several lines as blocks."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if re.fullmatch(_NOT_TEXT, text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
