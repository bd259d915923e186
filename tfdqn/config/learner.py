"""The section `learner`: how updates are made, and by how many."""

from typing import Annotated, Literal

from tfdqn.config.fields import FIXED_IN_BOTH, MAY_CHANGE, Count, CountOrZero, Positive, Section, doc


class Learner(Section, frozen=True, kw_only=True):
    """How updates are made."""

    strategy: Annotated[
        Literal["local", "mirrored", "multi_worker", "parameter_server", "averaging"],
        MAY_CHANGE,
        doc("how updates are divided among devices and processes: docs/parallelism.md"),
    ] = "local"
    logical_devices: Annotated[
        int,
        MAY_CHANGE,
        doc("split the CPU into so many devices; 0: every GPU, or the CPU undivided", ge=0, le=256),
    ] = 0
    min_gpus: Annotated[
        int,
        MAY_CHANGE,
        doc("refuse to learn in a process where TensorFlow finds fewer GPUs than this", ge=0, le=64),
    ] = 0
    model_parallel: Annotated[
        int, MAY_CHANGE, doc("devices over which the layers of one network are split", ge=1, le=64)
    ] = 1
    workers: Annotated[
        int,
        MAY_CHANGE,
        doc(
            "learning processes started on this host; those of TF_CONFIG where it names others", ge=1, le=1024
        ),
    ] = 2
    parameter_servers: Annotated[
        int, MAY_CHANGE, doc("processes that share the weights, for parameter_server", ge=1, le=256)
    ] = 1
    updates_per_read: Annotated[
        int,
        MAY_CHANGE,
        doc("gradients a worker takes from one reading of the weights, for parameter_server", ge=1, le=1000),
    ] = 5
    max_staleness_train_steps: Annotated[
        CountOrZero,
        MAY_CHANGE,
        doc("gradients older than this are dropped, for parameter_server; 0: none are"),
    ] = 0
    all_reduce: Annotated[
        Literal["auto", "nccl", "ring", "hierarchical_copy", "one_device"],
        MAY_CHANGE,
        doc(
            "how replicas sum gradients: mirrored knows all but ring, multi_worker and averaging auto, nccl and ring"
        ),
    ] = "auto"
    averaging_period_train_steps: Annotated[
        Count, MAY_CHANGE, doc("H: updates that each replica makes by itself between two averagings")
    ] = 10
    average_optimizer: Annotated[
        bool, MAY_CHANGE, doc("average the optimiser's moments, too; else each replica keeps its own")
    ] = True
    batch_size: Annotated[
        int, FIXED_IN_BOTH, doc("transitions per update, over all replicas", ge=1, le=2**20)
    ] = 128
    env_steps_per_update: Annotated[
        Positive,
        FIXED_IN_BOTH,
        doc("the replay ratio: transitions acted per update (0.5: two updates a transition)"),
    ] = 10.0
    updates_per_call: Annotated[
        int, FIXED_IN_BOTH, doc("updates in one call into TensorFlow", ge=1, le=10_000)
    ] = 50
    schedule: Annotated[
        Literal["overlap", "alternate"],
        doc("overlap: act and learn in two threads; alternate: in turn, reproducibly"),
    ] = "overlap"
    xla: Annotated[
        Literal["auto", "on", "off"],
        MAY_CHANGE,
        doc("compile updates with XLA; auto: not convolutions and ensembles on CPU"),
    ] = "auto"
    prefetch_to_device: Annotated[
        bool,
        MAY_CHANGE,
        doc("copy the next call's batches to each device while it computes, for local and mirrored on GPUs"),
    ] = False
    precision: Annotated[
        Literal["float32", "mixed_bfloat16"],
        doc(
            "mixed_bfloat16: layers compute in bfloat16, for devices that are fast at it; weights stay float32"
        ),
    ] = "float32"
    threads: Annotated[
        int, MAY_CHANGE, doc("cores for one operation; 0: one, or all for convolutions", ge=0, le=1024)
    ] = 0

    @property
    def processes(self) -> int:
        """How many processes compute gradients from a part of each batch, or of their own, as the keys say."""
        return self.workers if self.strategy in ("multi_worker", "averaging") else 1
