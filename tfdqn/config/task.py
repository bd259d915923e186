"""The section `task`: the environments, and how their observations, actions and rewards are adapted."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from tfdqn.config.fields import MAY_CHANGE, CountOrZero, Fraction, NonNegative, Section, doc, named, needs

_MOST_BINS = 1_000_000
_MASKS = needs("task.action_masks", True)


class Task(Section, frozen=True, kw_only=True):
    """The task to be learned: a gymnasium environment, stepped in batches."""

    id: Annotated[str, doc("gymnasium id, or my_package.my_envs:Name-v0", min_length=1)] = "CartPole-v1"
    suite: Annotated[
        str,
        doc("where the id is looked up: gymnasium, ALE, envpool; auto: told by the id, else gymnasium", min_length=1),
    ] = "auto"
    kwargs: Annotated[dict[str, Any], doc("keyword arguments that the task is made with")] = field(default_factory=dict)
    num_envs: Annotated[int, doc("environments that each actor steps as one batch", ge=1, le=4096)] = 16
    vectorization: Annotated[
        Literal["auto", "own", "sync", "async"],
        doc("own: the task's vectorised version; sync: in turn; async: a process each; auto: own if any, else sync"),
    ] = "auto"
    max_episode_steps: Annotated[
        CountOrZero, doc("truncate episodes after this many steps; 0: the task's own limit")
    ] = 0
    restarts: Annotated[
        CountOrZero,
        MAY_CHANGE,
        doc("how many failed environments each process may replace; one more failure ends the run"),
    ] = 0
    reward_sign: Annotated[bool, doc("replace rewards by their signs -1, 0 and 1, for learning only")] = False
    reward_normalization: Annotated[
        Fraction,
        doc(
            "divide rewards by the running standard deviation of their return with this discount, for learning only, "
            "before clipping; 0: no division"
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
            "several action dimensions as one combined action (product), or each with Q-values of its own (branches); "
            "no difference for one dimension"
        ),
    ] = "product"
    action_bins: Annotated[
        Annotated[int, Meta(ge=0, le=_MOST_BINS)] | tuple[Annotated[int, Meta(ge=1, le=_MOST_BINS)], ...],
        doc("evenly spaced values for each dimension of a Box of actions, or a list, one per dimension; 0: not a Box"),
    ] = 0
    action_masks: Annotated[bool, doc("the task gives a mask of the legal actions in each state")] = False
    action_mask_source: Annotated[
        str,
        _MASKS,
        named("auto", "info", "observation", own=r"method:[A-Za-z_]\w*", example="method:NAME"),
        doc('where masks are: info["action_mask"], a Dict observation\'s "action_mask", a method; auto: find them'),
    ] = "auto"
    action_mask_form: Annotated[
        Literal["auto", "boolean", "logits"],
        _MASKS,
        doc("boolean: non-zero is legal; logits: 0 is legal, -100 or less isn't; auto: logits if any are below 0"),
    ] = "auto"
    action_names: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        MAY_CHANGE,
        doc("names of the actions, for an export's model card; []: the task's own, if any"),
    ] = ()
