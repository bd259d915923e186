"""The section `learner`: how updates are made, and by how many processes and devices."""

from typing import Annotated, Literal

from tfdqn.config.fields import (
    FIXED_IN_BOTH,
    FIXED_IN_RUN,
    Count,
    CountOrZero,
    Positive,
    Section,
    doc,
    needs,
    needs_agent,
)

_WORKERS = needs("learner.strategy", "multi_worker", "parameter_server", "averaging")
_ASYNCHRONOUS = needs("learner.strategy", "parameter_server")
_AVERAGING = needs("learner.strategy", "averaging")


class Learner(Section, frozen=True, kw_only=True):
    """How updates are made."""

    strategy: Annotated[
        Literal["local", "mirrored", "multi_worker", "parameter_server", "averaging"],
        doc("how updates are divided among devices and processes (docs/parallelism.md)"),
    ] = "local"
    logical_devices: Annotated[
        int, doc("devices that the CPU is split into; 0: use every GPU, or the CPU undivided", ge=0, le=256)
    ] = 0
    min_gpus: Annotated[int, doc("refuse to learn in a process where TensorFlow finds fewer GPUs", ge=0, le=64)] = 0
    model_parallel: Annotated[int, doc("devices over which the layers of one network are split", ge=1, le=64)] = 1
    workers: Annotated[
        int, _WORKERS, doc("processes that compute gradients; TF_CONFIG overrides this if it lists them", ge=1, le=1024)
    ] = 2
    parameter_servers: Annotated[
        int, _ASYNCHRONOUS, doc("processes among which the weights are divided", ge=1, le=256)
    ] = 1
    updates_per_read: Annotated[
        int, _ASYNCHRONOUS, doc("gradients that a worker computes for each read of the weights", ge=1, le=1000)
    ] = 5
    max_staleness_train_steps: Annotated[
        CountOrZero, _ASYNCHRONOUS, doc("drop gradients older than this; 0: drop none")
    ] = 0
    all_reduce: Annotated[
        Literal["auto", "nccl", "ring", "hierarchical_copy", "one_device"],
        doc(
            "how replicas sum gradients: auto or nccl; under mirrored also hierarchical_copy or one_device, under "
            "multi_worker and averaging also ring"
        ),
    ] = "auto"
    averaging_period_train_steps: Annotated[
        Count, _AVERAGING, doc("H: updates that each replica makes on its own between averagings")
    ] = 10
    average_optimizer: Annotated[
        bool, _AVERAGING, doc("average the optimizer's moments too; false: each replica keeps its own")
    ] = True
    batch_size: Annotated[
        int, FIXED_IN_BOTH, doc("transitions, or sequences, per update, over all replicas", ge=1, le=2**20)
    ] = 128
    env_steps_per_update: Annotated[
        Positive,
        needs_agent("has_replay", "agent.epochs and learner.batch_size give the number of updates for each rollout"),
        FIXED_IN_BOTH,
        doc("environment steps per update (0.5: two updates for each step): the inverse of the replay ratio"),
    ] = 10.0
    updates_per_call: Annotated[
        int,
        needs_agent("has_replay", "a call makes all updates of a rollout"),
        FIXED_IN_BOTH,
        doc("updates made by one call into TensorFlow", ge=1, le=10_000),
    ] = 50
    schedule: Annotated[
        Literal["overlap", "alternate"],
        FIXED_IN_RUN,
        doc("overlap: act and learn in two threads; alternate: in turn, reproducibly"),
    ] = "overlap"
    xla: Annotated[
        Literal["auto", "on", "off"],
        doc("compile updates with XLA: on, off, or auto (all but convolutions and ensembles on a CPU)"),
    ] = "auto"
    prefetch_to_device: Annotated[
        bool,
        needs_agent("has_replay", "its batches come from a rollout that is complete already"),
        doc("copy the next call's batches to each device while it computes; for local and mirrored on GPUs"),
    ] = False
    precision: Annotated[
        Literal["float32", "mixed_bfloat16"],
        FIXED_IN_RUN,
        doc(
            "float32, or mixed_bfloat16: layers (on a CPU convolutions only) compute in bfloat16, with float32 "
            "weights; for devices that support it"
        ),
    ] = "float32"
    tf32: Annotated[
        bool, doc("let GPUs multiply float32 as TF32, with a 10-bit mantissa: faster, accurate to 1e-3")
    ] = True
    threads: Annotated[
        int,
        doc(
            "CPU threads for one operation; 0: one, or for large convolutions all cores but the one that acts",
            ge=0,
            le=1024,
        ),
    ] = 0

    @property
    def processes(self) -> int:
        """How many processes compute gradients in lockstep or average their weights, as configured; else 1."""
        return self.workers if self.strategy in ("multi_worker", "averaging") else 1
