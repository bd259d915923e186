"""The section `task`: what is learned."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from tfdqn.config.fields import MAY_CHANGE, CountOrZero, NonNegative, Section, doc


class Task(Section, frozen=True, kw_only=True):
    """The task to be learned: a gymnasium environment, stepped in batches."""

    id: Annotated[str, doc("gymnasium id, or my_package.my_envs:Name-v0", min_length=1)] = "CartPole-v1"
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
    reward_clip: Annotated[
        NonNegative, doc("clip rewards to plus or minus this, for learning only; 0: no clipping")
    ] = 0.0
    end_on_life_loss: Annotated[
        bool, doc('treat a lost life (info["lives"]) as the end of an episode, for learning only')
    ] = False
    frame_stack: Annotated[int, doc("consecutive observations stacked into one", ge=1, le=16)] = 1
    action_masks: Annotated[bool, doc('the task gives the legal actions in info["action_mask"]')] = False
    action_names: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        MAY_CHANGE,
        doc("names of the actions, for an export's model card; []: the task's own, if any"),
    ] = ()
