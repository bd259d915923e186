"""Legal actions: finds a task's masks, reads them in any of their forms, and makes a batch of them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import Space, spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from msgspec import structs

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import MASK, ActionSpec, MaskForms
from tfdqn.tasks.array_contract import Breach, shown
from tfdqn.tasks.contract import STEP, unpacked
from tfdqn.tasks.warnings import warn_once

METHODS = ("action_masks", "action_mask")  # the methods that "auto" looks for
ILLEGAL_LOGIT = -100.0  # a logit of at most this is illegal: its exp vanishes in float32 beside that of a legal one

Read = Callable[[Any, Mapping[str, Any]], Any]  # (observation, info) → the mask as the environment has it, or None


class MaskSource(NamedTuple):
    """Where each state's mask is, and how to read it. It can be pickled, for environments in other processes."""

    place: str  # "info", "observation" or "method:NAME"
    actions: ActionSpec
    form: str  # "boolean" or "logits"; "auto": decided by each mask's numbers

    @property
    def called(self) -> str:
        """The mask's name in errors."""
        by_place = {"info": f'info["{MASK}"]', "observation": f'observation "{MASK}"'}
        return by_place.get(self.place, f"{self.place.partition(':')[2]}()")


def find_masks(task: Task, env: gymnasium.Env) -> str | None:
    """The place of the task's masks, as in `MaskSource`; None if `task.action_masks` is false.

    `env` is without tfdqn's wrappers; for "auto" it is reset. Raises TaskError if `task.action_mask_source` names a
    place that the environment doesn't have.
    """
    if not task.action_masks:
        return None
    place, space = task.action_mask_source, env.observation_space
    if place == "auto":
        return _found(task.id, env)
    if place == "observation" and not has_mask(space):
        raise TaskError(f'task.action_mask_source = "{place}": {task.id} observes no Dict with the key "{MASK}"')
    name = place.partition(":")[2]
    if name and not takes_no_arguments(env, name):
        raise TaskError(
            f'task.action_mask_source = "{place}": {task.id} has no method {name}() that takes no arguments'
        )
    return place


def without_masks(space: Space[Any], place: str | None) -> Space[Any]:
    """The observation space without its mask, if `place` is "observation": a mask is no input of the network."""
    if place != "observation" or not isinstance(space, spaces.Dict):
        return space
    return spaces.Dict({key: part for key, part in space.spaces.items() if key != MASK})


def mask_source(task: Task, place: str | None, space: Space[Any], actions: ActionSpec) -> MaskSource | None:
    """How to read the masks in the place that `find_masks` found; None if there are none.

    `space` is that of the whole observation, with its mask. Raises TaskError for a mask in the observation whose shape
    isn't one of `MaskForms`.
    """
    if place is None:
        return None
    if place != "observation":
        return MaskSource(place, actions, task.action_mask_form)
    assert isinstance(space, spaces.Dict)
    mask = space.spaces[MASK]
    source = MaskSource(place, actions, _form_of(mask, task.action_mask_form))
    if mask.shape not in (shapes := MaskForms(actions).shapes):
        allowed = " or ".join(map(str, shapes))
        hint = _hint_at_form(actions, np.zeros(mask.shape or ()), ())
        raise TaskError(
            f'{task.id}: observation "{MASK}" has shape {mask.shape}, not {allowed}, one for each action{hint}'
        )
    return source


class MaskReader:
    """Reads each state's mask, which a method of `env`, perhaps of a vectorised version, may give; and checks it."""

    def __init__(self, source: MaskSource, env: Any, task_id: str):
        self._source, self._task_id = source, task_id
        self._read = _reader(source, env)
        self._forms = MaskForms(source.actions)
        self._has_given = False

    def one(self, observation: Any, info: Mapping[str, Any], is_over: bool) -> dict[str, Any]:
        """{"action_mask": bool[A], or [D, A] of branches} of one environment; {} if a terminal state has no mask.

        A method is not called after a termination (`is_over`), where no mask is needed. Raises Breach for a mask that
        is missing, malformed or, except in a terminal state, without a legal action.
        """
        if is_over and self._source.place.startswith("method:"):
            return {}
        given = self._read(observation, info)
        if given is None and is_over:
            return {}
        legal = self._legal(given, ())
        if not (legal.any(axis=-1).all() or is_over):
            raise Breach(self._source.called, self._nothing_legal(given, ()))
        return {MASK: legal}

    def many(self, observation: Any, info: Mapping[str, Any], is_over: np.ndarray) -> dict[str, Any]:
        """{"action_mask": bool[E, A], or [E, D, A]} of a task's own vectorised version. Raises Breach as `one`."""
        given = self._read(observation, info)
        legal = self._legal(given, (len(is_over),))
        is_empty = ~(legal.any(axis=-1).reshape(len(is_over), -1).all(axis=1) | is_over)
        if is_empty.any():
            raise Breach(self._source.called, self._nothing_legal(given, (len(is_over),)), np.argwhere(is_empty)[0])
        return {MASK: legal}

    def _legal(self, given: Any, leading: tuple[int, ...]) -> np.ndarray:
        """A mask, or a batch of them, as bool[*leading, A], or [*leading, D, A] of branches. Raises Breach."""
        if given is None:
            why = "it has given one before" if self._has_given else "task.action_mask_source says where masks are"
            raise Breach("task.action_masks", f"is true, but {self._task_id} gives no {self._source.called}: {why}")
        self._has_given = True
        try:
            mask = self._forms.in_a_row(given, leading)
        except ValueError as error:
            hint = _hint_at_form(self._source.actions, given, leading)
            raise Breach(self._source.called, f"{error}{hint}") from None
        return self._forms.padded(self._booleans(mask))

    def _booleans(self, mask: np.ndarray) -> np.ndarray:
        if mask.dtype.kind == "b":
            return mask
        if mask.dtype.kind not in "iuf" or (mask.dtype.kind == "f" and np.isnan(mask).any()):
            raise Breach(self._source.called, f"is {shown(mask)}, not a boolean for each action")
        return legal_of(mask, self._source)

    def _nothing_legal(self, given: Any, leading: tuple[int, ...]) -> str:
        is_float = self._forms.in_a_row(given, leading).dtype.kind == "f" and self._source.form == "auto"
        hint = ': if 0 means legal, set task.action_mask_form = "logits"' if is_float else ""
        return f"has no legal action{hint}"


class VectorMasks(VectorWrapper):
    """Puts the masks of its environments, for which `gives_masks` is true, into `info["action_mask"]`.

    They are bool[E, A] or [E, D, A]. `reset` and `step` raise FaultyTaskError for a mask that is missing, malformed or
    without a legal action.
    """

    def __init__(self, env: VectorEnv, source: MaskSource, task_id: str):
        super().__init__(env)
        self._task_id, self._steps = task_id, 0
        self._reader = MaskReader(source, env, task_id)
        self.single_observation_space = without_masks(env.single_observation_space, source.place)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._steps = 0
        answer = self.env.reset(seed=seed, options=options)
        try:
            observation, info = unpacked("reset", answer, ("observation", "info"))
            return observation, info | self._reader.many(observation, info, np.zeros(self.num_envs, np.bool_))
        except Breach as breach:
            raise breach.error(self._task_id, 0) from None

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self._steps += 1
        answer = self.env.step(actions)
        try:
            observation, reward, terminated, truncated, info = unpacked("step", answer, STEP)
            masks = self._reader.many(observation, info, np.asarray(terminated, np.bool_))
        except Breach as breach:
            raise breach.error(self._task_id, self._steps) from None
        return observation, reward, terminated, truncated, info | masks


def _hint_at_form(actions: ActionSpec, given: Any, leading: tuple[int, ...]) -> str:
    """What to set for a mask, or a batch of them, that is refused but would do in the other form of actions, or ""."""
    other = structs.replace(actions, form="product" if actions.form == "branches" else "branches")
    try:
        MaskForms(other).in_a_row(given, leading)
    except ValueError:
        return ""
    return f': task.action_form = "{other.form}" takes such masks'


def legal_of(mask: np.ndarray, source: MaskSource) -> np.ndarray:
    """Converts a mask of numbers, none of them NaN, to booleans of the same shape.

    In the form "boolean", 0 is illegal and everything else legal. Of logits, 0 is legal and anything up to
    `ILLEGAL_LOGIT` illegal. By "auto", a mask with a number below 0 is one of logits. Raises Breach for other numbers.
    """
    has_negative = mask.dtype.kind != "u" and bool(mask.min() < 0)
    if not has_negative and source.form != "logits":
        return mask != 0
    if has_negative and source.form == "boolean":
        raise Breach(source.called, f"is {shown(mask)}, with a number below 0, not a boolean for each action")
    legal = mask == 0
    is_strange = ~(legal | (mask <= ILLEGAL_LOGIT))
    if is_strange.any():
        raise Breach(
            source.called,
            f"holds {mask[is_strange][0]:g}: of logits, 0 is legal, and {ILLEGAL_LOGIT:g} or less is illegal",
        )
    return legal


def batched_masks(info: Mapping[str, Any], num_envs: int, everything: np.ndarray) -> np.ndarray:
    """The masks bool[E, A], or [E, D, A], in the `info` of a batch whose environments `MaskReader` has checked.

    `everything`, bool[A] or [D, A], takes the place of a mask with nothing legal, in one branch or in all. Terminal
    states may have such masks, as may environments that gave none, for which gymnasium fills in False. No action is
    taken there, but a maximum over no action would be float32's lowest number.
    """
    legal = np.array(info.get(MASK, np.zeros((num_envs, *everything.shape))), np.bool_)
    return np.where(legal.any(axis=-1, keepdims=True), legal, everything)


def gives_masks(env: VectorEnv, source: MaskSource) -> bool:
    """Whether a task's own vectorised version gives masks where a single environment does; it may be reset."""
    if source.place == "observation":
        return has_mask(env.single_observation_space)
    if source.place == "info":
        return MASK in env.reset(seed=0)[1]
    return callable(getattr(env, source.place.partition(":")[2], None))


def _reader(source: MaskSource, env: Any) -> Read:
    """A function that takes a mask from its place."""
    if source.place == "info":
        return lambda observation, info: info.get(MASK)
    if source.place == "observation":
        return lambda observation, info: observation.get(MASK) if isinstance(observation, Mapping) else None
    name = source.place.partition(":")[2]
    method = env.get_wrapper_attr(name) if isinstance(env, gymnasium.Env) else getattr(env, name)
    return lambda observation, info: method()


def _found(task_id: str, env: gymnasium.Env) -> str:
    """The first place that has masks. If none has, "info": its missing mask is reported at the first reset."""
    places = [
        *(["info"] if _has_mask_in_info(env) else []),
        *(["observation"] if has_mask(env.observation_space) else []),
        *(f"method:{name}" for name in METHODS if takes_no_arguments(env, name)),
    ]
    if len(places) > 1:
        others = ", ".join(places[1:])
        warn_once(
            f'{task_id}: task.action_mask_source = "auto" found masks by "{places[0]}"; {others} could be named as well'
        )
    return places[0] if places else "info"


def _has_mask_in_info(env: gymnasium.Env) -> bool:
    """Whether a reset gives a mask in `info`; False if it fails, which is reported when the environment is used."""
    try:
        answer = env.reset(seed=0)
        return answer[1].get(MASK) is not None
    except (Exception, SystemExit):
        return False


def has_mask(space: Space[Any]) -> bool:
    """Whether an observation has a mask beside what is observed."""
    return isinstance(space, spaces.Dict) and MASK in space.spaces


def _form_of(space: Space[Any], form: str) -> str:
    """The form of an observation's mask: `form`, or if that is "auto", what the bounds of the mask's space say."""
    if form != "auto" or not isinstance(space, spaces.Box):
        return form
    if (space.low >= 0).all():
        return "boolean"
    return "logits" if (space.high <= 0).all() else "auto"


def takes_no_arguments(env: gymnasium.Env, name: str) -> bool:
    """Whether the environment has such a method, callable without arguments (unlike Taxi's `action_mask(state)`)."""
    try:
        inspect.signature(env.get_wrapper_attr(name)).bind()
    except (AttributeError, TypeError, ValueError):
        return False
    return True
