"""Legal actions: where a task's masks are found, which forms they may have, and how a batch's are put together."""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import Space, spaces

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import ActionSpec, MaskForms
from tfdqn.tasks.contract import Breach, shown

log = logging.getLogger(__name__)

MASK = "action_mask"  # in `info`, and in a Dict observation
METHODS = ("action_masks", "action_mask")  # that "auto" looks for
ILLEGAL_LOGIT = -100.0  # of logits at most this is illegal: float32's exp of it is 0 beside any that is legal
_said: set[tuple[str, str]] = set()  # (task, source): once in a process, however often the task is made

Read = Callable[[Any, Mapping[str, Any]], Any]  # (observation, info) → the mask as it was given; None: there is none


class MaskSource(NamedTuple):
    """Where each state's mask is, and how it is read; plain values, which are sent to other processes."""

    place: str  # "info", "observation" or "method:NAME"
    actions: ActionSpec
    form: str  # "boolean" or "logits"; "auto": each mask's own numbers say it

    @property
    def called(self) -> str:
        """The mask, in errors."""
        by_place = {"info": f'info["{MASK}"]', "observation": f'observation "{MASK}"'}
        return by_place.get(self.place, f"{self.place.partition(':')[2]}()")


def find_masks(task: Task, env: gymnasium.Env) -> str | None:
    """The place of the task's masks; None if it has none. Raises TaskError if the key names one that has none.

    Args:
      env: one environment, in none of the project's wrappers; "auto" resets it.
    """
    if not task.action_masks:
        return None
    place, space = task.action_mask_source, env.observation_space
    if place == "auto":
        return _found(task.id, env)
    if place == "observation" and not _has_mask(space):
        raise TaskError(f'task.action_mask_source = "{place}": {task.id} observes no Dict with the key "{MASK}"')
    name = place.partition(":")[2]
    if name and not takes_no_arguments(env, name):
        raise TaskError(
            f'task.action_mask_source = "{place}": {task.id} has no method {name}() that takes no arguments'
        )
    return place


def without_masks(space: Space[Any], place: str | None) -> Space[Any]:
    """An observation's space as it is learned from: a mask in it is no input of the network."""
    if place != "observation" or not isinstance(space, spaces.Dict):
        return space
    return spaces.Dict({key: part for key, part in space.spaces.items() if key != MASK})


def mask_source(task: Task, place: str | None, space: Space[Any], actions: ActionSpec) -> MaskSource | None:
    """How the masks in the place that `find_masks` gave are read; None if there are none.

    Args:
      space: of the whole observation. TaskError is raised for a mask in it of another shape.
      actions: of the task.
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
        raise TaskError(f'{task.id}: observation "{MASK}" has shape {mask.shape}, not {allowed}, one for each action')
    return source


class MaskReader:
    """Takes each state's mask from where it is, and checks it.

    Args:
      source: where that is.
      env: the environment, or a vector version, whose method may give it.
      task_id: for errors.
    """

    def __init__(self, source: MaskSource, env: Any, task_id: str):
        self._source, self._task_id = source, task_id
        self._read = _reader(source, env)
        self._forms = MaskForms(source.actions)

    def one(self, observation: Any, info: Mapping[str, Any], is_over: bool) -> dict[str, Any]:
        """{"action_mask": bool[A], or [D, A] of branches} of what one environment gave; raises Breach.

        What follows a termination is never asked: no mask is needed there.
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
        """{"action_mask": bool[E, A]} of what a task's own vector version gave; raises Breach."""
        given = self._read(observation, info)
        legal = self._legal(given, (len(is_over),))
        is_empty = ~(legal.any(axis=-1).reshape(len(is_over), -1).all(axis=1) | is_over)
        if is_empty.any():
            raise Breach(self._source.called, self._nothing_legal(given, (len(is_over),)), np.argwhere(is_empty)[0])
        return {MASK: legal}

    def _legal(self, given: Any, leading: tuple[int, ...]) -> np.ndarray:
        """bool[*leading, A], or [*leading, D, A]."""
        if given is None:
            raise Breach(
                "task.action_masks",
                f"is true, but {self._task_id} gives no {self._source.called}: task.action_mask_source says where "
                "masks are",
            )
        try:
            mask = self._forms.in_a_row(given, leading)
        except ValueError as error:
            raise Breach(self._source.called, str(error)) from None
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


def legal_of(mask: np.ndarray, source: MaskSource) -> np.ndarray:
    """Numbers, none of them NaN → booleans of the same shape; raises Breach.

    Of 0 and 1, what is not 0 is legal. Of logits 0 is legal, and what is at most `ILLEGAL_LOGIT` is not.
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
    """bool[E, A], or [E, D, A], of what `MaskReader` let pass; `everything`, bool[A] or [D, A], where nothing is legal.

    That is so where an environment gave no mask, of which gymnasium makes False, and where a terminal state's is empty,
    in one branch or in all: nothing is done there, but a maximum over no action would be the lowest float.
    """
    legal = np.array(info.get(MASK, np.zeros((num_envs, *everything.shape))), np.bool_)
    return np.where(legal.any(axis=-1, keepdims=True), legal, everything)


def _reader(source: MaskSource, env: Any) -> Read:
    if source.place == "info":
        return lambda observation, info: info.get(MASK)
    if source.place == "observation":
        return lambda observation, info: observation.get(MASK) if isinstance(observation, Mapping) else None
    name = source.place.partition(":")[2]
    method = env.get_wrapper_attr(name) if isinstance(env, gymnasium.Env) else getattr(env, name)
    return lambda observation, info: method()


def _found(task_id: str, env: gymnasium.Env) -> str:
    """The first place that has masks; "info", whose absence is an error at the first reset, where none has."""
    places = [
        *(["info"] if _has_mask_in_info(env) else []),
        *(["observation"] if _has_mask(env.observation_space) else []),
        *(f"method:{name}" for name in METHODS if takes_no_arguments(env, name)),
    ]
    if places and places != ["info"] and (task_id, places[0]) not in _said:
        _said.add((task_id, places[0]))
        others = f"; {', '.join(places[1:])} could be named as well" if places[1:] else ""
        log.warning('%s: task.action_mask_source = "auto" found masks by "%s"%s', task_id, places[0], others)
    return places[0] if places else "info"


def _has_mask_in_info(env: gymnasium.Env) -> bool:
    """False as well where it fails: what an environment's failure means is decided where it is stepped."""
    try:
        answer = env.reset(seed=0)
        return answer[1].get(MASK) is not None
    except (Exception, SystemExit):
        return False


def _has_mask(space: Space[Any]) -> bool:
    return isinstance(space, spaces.Dict) and MASK in space.spaces


def _form_of(space: Space[Any], form: str) -> str:
    """What the bounds of a mask's space tell, where the key does not."""
    if form != "auto" or not isinstance(space, spaces.Box):
        return form
    if (space.low >= 0).all():
        return "boolean"
    return "logits" if (space.high <= 0).all() else "auto"


def takes_no_arguments(env: gymnasium.Env, name: str) -> bool:
    """Whether it has such a method, and that takes none; Taxi's action_mask(state), say, does."""
    try:
        inspect.signature(env.get_wrapper_attr(name)).bind()
    except (AttributeError, TypeError, ValueError):
        return False
    return True
