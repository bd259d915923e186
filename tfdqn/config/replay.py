"""The sections `replay` and `priorities`: which transitions are kept, and how updates sample them."""

from typing import Annotated, Literal

from msgspec import Meta

from tfdqn.config.fields import (
    FIXED_IN_BOTH,
    FIXED_IN_REPLAY,
    Count,
    Fraction,
    Positive,
    Section,
    doc,
    named,
    needs,
    needs_above,
)

_REVERB = needs("replay.backend", "reverb")
_SEQUENCE = needs("replay.item", "sequence")
_USED = needs_above(0, "priorities.exponent")


class Replay(Section, frozen=True, kw_only=True):
    """The transitions that updates sample: uniformly, or by `[priorities]`."""

    backend: Annotated[
        Literal["reverb", "in_graph"], doc("reverb, or in_graph: sampled by seed, for runs that repeat bit for bit")
    ] = "reverb"
    item: Annotated[
        str,
        named("block", "frames", "sequence"),
        doc("block: packed transitions; frames: each frame of a stack stored once; sequence: for networks with memory"),
    ] = "block"
    block_size: Annotated[
        int,
        _REVERB,
        needs("replay.item", "block"),
        doc("transitions per block in Reverb; must divide learner.batch_size", ge=1, le=4096),
    ] = 16
    sequence_length: Annotated[int, _SEQUENCE, doc("steps of a sequence that are learned from", ge=1, le=10_000)] = 80
    burn_in: Annotated[
        int, _SEQUENCE, doc("steps before each sequence that warm up the memory, without a gradient", ge=0, le=10_000)
    ] = 40
    sequence_period: Annotated[
        int,
        _SEQUENCE,
        doc("steps between the starts of consecutive sequences; a sequence counts as this many", ge=1, le=10_000),
    ] = 40
    shards: Annotated[
        int,
        _REVERB,
        FIXED_IN_REPLAY,
        doc("Reverb servers that share the transitions evenly; each batch mixes all of them", ge=1, le=1024),
    ] = 1
    capacity: Annotated[
        int,
        Meta(ge=1, le=2**31 - 1),  # Reverb counts a table's items in 32 bits
        doc("transitions kept, over all shards; the oldest are removed first"),
    ] = 10_000
    min_size: Annotated[Count, doc("transitions stored before learning starts")] = 10_000


class Priorities(Section, frozen=True, kw_only=True):
    """Proportional prioritised replay (Schaul et al. 2016): P(i) is proportional to (|TD error i| + epsilon)^alpha."""

    exponent: Annotated[Fraction, FIXED_IN_BOTH, doc("alpha; 0: uniform sampling, without priorities")] = 0.0
    importance_start: Annotated[
        Fraction,
        _USED,
        doc("initial beta; the importance weights are (N P)^-beta, divided by the largest of the batch"),
    ] = 0.4
    importance_end: Annotated[Fraction, _USED, doc("final beta")] = 1.0
    importance_train_steps: Annotated[
        Count, _USED, doc("train steps over which beta grows from importance_start to importance_end")
    ] = 100_000
    new_items: Annotated[
        Literal["largest", "actor"],
        _USED,
        doc("priority of new transitions: the largest so far, or the actor's own estimate of the TD error"),
    ] = "largest"
    epsilon: Annotated[Positive, _USED, doc("added to |TD error|, so that no priority is 0")] = 1e-6

    @property
    def are_used(self) -> bool:
        """Whether transitions are sampled by priority."""
        return self.exponent > 0
