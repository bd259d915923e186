"""The section `learner`: how updates are made, and by how many."""

from typing import Annotated, Literal

from msgspec import Meta

from tfdqn.config.fields import Count, CountOrZero, Positive, Section, doc


class Learner(Section, frozen=True, kw_only=True):
    """How updates are made."""

    strategy: Annotated[
        Literal["local", "mirrored", "multi_worker", "parameter_server", "averaging"],
        doc("how updates are divided among devices and processes: docs/parallelism.md"),
    ] = "local"
    logical_devices: Annotated[
        int, Meta(ge=0, le=256), doc("split the CPU into so many devices; 0: every GPU, or the CPU undivided")
    ] = 0
    min_gpus: Annotated[
        int,
        Meta(ge=0, le=64),
        doc("refuse to learn in a process where TensorFlow finds fewer GPUs than this"),
    ] = 0
    model_parallel: Annotated[
        int, Meta(ge=1, le=64), doc("devices over which the layers of one network are split")
    ] = 1
    workers: Annotated[
        int,
        Meta(ge=1, le=1024),
        doc("learning processes started on this host; those of TF_CONFIG where it names others"),
    ] = 2
    parameter_servers: Annotated[
        int, Meta(ge=1, le=256), doc("processes that share the weights, for parameter_server")
    ] = 1
    updates_per_read: Annotated[
        int,
        Meta(ge=1, le=1000),
        doc("gradients a worker takes from one reading of the weights, for parameter_server"),
    ] = 5
    max_staleness_train_steps: Annotated[
        CountOrZero, doc("gradients older than this are dropped, for parameter_server; 0: none are")
    ] = 0
    all_reduce: Annotated[
        Literal["auto", "nccl", "ring", "hierarchical_copy", "one_device"],
        doc(
            "how replicas sum gradients: mirrored knows all but ring, multi_worker and averaging auto, nccl and ring"
        ),
    ] = "auto"
    averaging_period_train_steps: Annotated[
        Count, doc("H: updates that each replica makes by itself between two averagings")
    ] = 10
    average_optimizer: Annotated[
        bool, doc("average the optimiser's moments, too; else each replica keeps its own")
    ] = True
    batch_size: Annotated[int, Meta(ge=1, le=2**20), doc("transitions per update, over all replicas")] = 128
    env_steps_per_update: Annotated[
        Positive, doc("the replay ratio: transitions acted per update (0.5: two updates a transition)")
    ] = 10.0
    updates_per_call: Annotated[int, Meta(ge=1, le=10_000), doc("updates in one call into TensorFlow")] = 50
    schedule: Annotated[
        Literal["overlap", "alternate"],
        doc("overlap: act and learn in two threads; alternate: in turn, reproducibly"),
    ] = "overlap"
    xla: Annotated[
        Literal["auto", "on", "off"],
        doc("compile updates with XLA; auto: not convolutions and ensembles on CPU"),
    ] = "auto"
    prefetch_to_device: Annotated[
        bool,
        doc("copy the next call's batches to each device while it computes, for local and mirrored on GPUs"),
    ] = False
    precision: Annotated[
        Literal["float32", "mixed_bfloat16"],
        doc(
            "mixed_bfloat16: layers compute in bfloat16, for devices that are fast at it; weights stay float32"
        ),
    ] = "float32"
    threads: Annotated[
        int, Meta(ge=0, le=1024), doc("cores for one operation; 0: one, or all for convolutions")
    ] = 0
