"""The section `task`: what is learned."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from tfdqn.config.fields import MAY_CHANGE, CountOrZero, Fraction, NonNegative, Section, doc, named, needs

_MOST_BINS = 1_000_000
_MASKS = needs("task.action_masks", True)


class Task(Section, frozen=True, kw_only=True):
    """The task to be learned: a gymnasium environment, stepped in batches."""

    id: Annotated[str, doc("gymnasium id, or my_package.my_envs:Name-v0", min_length=1)] = "CartPole-v1"
    suite: Annotated[
        str, doc("where the id is looked up: gymnasium, ALE, envpool; auto: by the id, else gymnasium", min_length=1)
    ] = "auto"
    kwargs: Annotated[dict[str, Any], doc("keyword arguments of the task")] = field(default_factory=dict)
    num_envs: Annotated[int, doc("environments that each actor steps as one batch", ge=1, le=4096)] = 16
    vectorization: Annotated[
        Literal["auto", "own", "sync", "async"],
        doc("own: the task's vectorised version; sync: in turn; async: a process each; auto: own if any, else sync"),
    ] = "auto"
    max_episode_steps: Annotated[
        CountOrZero, doc("truncate episodes after this many steps; 0: the task's own limit")
    ] = 0
    restarts: Annotated[
        CountOrZero, MAY_CHANGE, doc("failed environments that each process may replace; the next failure ends it")
    ] = 0
    reward_sign: Annotated[bool, doc("replace rewards by their signs -1, 0 and 1, for learning only")] = False
    reward_normalization: Annotated[
        Fraction,
        doc(
            "divide rewards by the running deviation of their return with this discount, for learning only, before "
            "they are clipped; 0: no division"
        ),
    ] = 0.0
    reward_clip: Annotated[
        NonNegative, doc("clip rewards to plus or minus this, for learning only; 0: no clipping")
    ] = 0.0
    end_on_life_loss: Annotated[
        bool, doc('treat a lost life (info["lives"]) as the end of an episode, for learning only')
    ] = False
    frame_stack: Annotated[int, doc("consecutive observations stacked into one", ge=1, le=16)] = 1
    action_form: Annotated[
        Literal["product", "branches"],
        doc(
            "several action dimensions as one number (product), or as one each, with Q-values of its own (branches); "
            "one dimension: no difference"
        ),
    ] = "product"
    action_bins: Annotated[
        Annotated[int, Meta(ge=0, le=_MOST_BINS)] | tuple[Annotated[int, Meta(ge=1, le=_MOST_BINS)], ...],
        doc("evenly spaced values that each dimension of a Box of actions takes, or a list of numbers; 0: no Box"),
    ] = 0
    action_masks: Annotated[bool, doc("the task says which actions are legal, in a mask for each state")] = False
    action_mask_source: Annotated[
        str,
        _MASKS,
        named("auto", "info", "observation", own=r"method:[A-Za-z_]\w*", example="method:NAME"),
        doc('where masks are: info["action_mask"], a Dict observation\'s "action_mask", a method; auto: it is found'),
    ] = "auto"
    action_mask_form: Annotated[
        Literal["auto", "boolean", "logits"],
        _MASKS,
        doc("boolean: what isn't 0 is legal; logits: 0 is legal, -100 or less isn't; auto: numbers below 0 are logits"),
    ] = "auto"
    action_names: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        MAY_CHANGE,
        doc("names of the actions, for an export's model card; []: the task's own, if any"),
    ] = ()
