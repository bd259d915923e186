"""Random episodes as a batched task would give them, and the ten-line writer that the fast one must equal."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tests.support.actions import branches
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience, Observation, Step

VECTOR = TaskSpec(id="Vector", observation={"observation": ArraySpec(shape=(4,), dtype="float32")}, actions=discrete(2))
MIXED = TaskSpec(
    id="Mixed",
    observation={
        "image": ArraySpec(shape=(3, 2), dtype="uint8"),
        "place": ArraySpec(shape=(), dtype="int64"),
        "speed": ArraySpec(shape=(3,), dtype="float32"),
        "gear": ArraySpec(shape=(), dtype="int16"),
    },
    actions=discrete(5),
    action_masks=True,
)
BRANCHING = TaskSpec(
    id="Branching", observation={"observation": ArraySpec(shape=(2,), dtype="float64")}, actions=branches(3, 4)
)


def stacked(frame_stack: int, dtype: str = "uint8", action_masks: bool = False) -> TaskSpec:
    """A task whose one observation stacks frames of three numbers."""
    spec = ArraySpec(shape=(frame_stack, 3), dtype=dtype, frame_stack=frame_stack)
    return TaskSpec(id="Stacked", observation={"observation": spec}, actions=discrete(4), action_masks=action_masks)


def random_steps(
    spec: TaskSpec,
    num_envs: int,
    length: int,
    rng: np.random.Generator,
    end_probability: float = 0.3,
    break_probability: float = 0.0,
    life_loss_probability: float = 0.0,
    padding: Literal["reset", "zero"] = "reset",
) -> list[Experience]:
    """`length` steps under the one autoreset rule: the row after an episode's end only carries a reset.

    An environment may break: that row, and the next, in which it is begun anew, only carry resets. A lost life is
    terminal to learn from, and the next row is a step of the same episode. `padding`: what stands before a first frame.
    """
    starting = np.ones(num_envs, bool)
    observation = _observe(spec, rng, num_envs, starting, None, padding)
    legal = _legal(spec, rng, num_envs)
    is_reset = np.zeros(num_envs, bool)
    taken = []
    for _ in range(length):
        shape = (num_envs,) if len(spec.num_actions) == 1 else (num_envs, len(spec.num_actions))
        actions = rng.integers(0, min(spec.num_actions), shape).astype(np.int32)
        breaks = np.zeros(num_envs, bool)
        if break_probability:
            breaks = (rng.random(num_envs) < break_probability) & ~is_reset
        resets = is_reset | breaks
        ends = (rng.random(num_envs) < end_probability) & ~resets
        terminated = ends & (rng.random(num_envs) < 0.5)
        next_observation = _observe(spec, rng, num_envs, is_reset, observation, padding)
        for key, array in next_observation.items():
            array[breaks] = observation[key][breaks]
        next_legal = _legal(spec, rng, num_envs)
        reward = np.where(resets, 0, rng.normal(size=num_envs)).astype(np.float32)
        lost = np.zeros(num_envs, bool)
        if life_loss_probability:
            lost = (rng.random(num_envs) < life_loss_probability) & ~ends & ~resets
        step = Step(next_observation, reward, terminated | lost, ends & ~terminated, resets, next_legal, None, lost)
        taken.append(Experience(observation, legal, actions, step))
        observation, legal, is_reset = next_observation, next_legal, ends | breaks
    return taken


def naive_transitions(
    taken: list[Experience], n: int, discount: float, schedule: Sequence[tuple[int, float]] | None = None
) -> list[dict[str, Any]]:
    """Every finished transition, from the definition alone: for each step, look ahead.

    `schedule` is (n, γ) at each step: what begins then has its γ, and is over once it has as many rewards as n is.
    """
    at, found = schedule or [(n, discount)] * len(taken), []
    for start, begun in enumerate(taken):
        for env in range(len(begun.action)):
            total, discount = 0.0, at[start][1]
            for k, step in enumerate((each.step for each in taken[start:]), 1):
                if step.is_reset[env]:
                    break
                total += discount ** (k - 1) * float(step.reward[env])
                if k >= at[start + k - 1][0] or step.terminated[env] or step.truncated[env]:
                    found.append(_transition(begun, step, env))
                    found[-1] |= {"reward": total, "discount": 0.0 if step.terminated[env] else discount**k}
                    break
    return found


def multiset(transitions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The transitions in an order that depends on nothing but their content."""
    return sorted(tuple((name, np.asarray(row[name]).tobytes()) for name in sorted(row)) for row in transitions)


def _transition(begun: Experience, step: Step, env: int) -> dict[str, Any]:
    row: dict[str, Any] = {"action": begun.action[env]}
    row |= {f"observation/{key}": value[env] for key, value in begun.observation.items()}
    row |= {f"next_observation/{key}": value[env] for key, value in step.observation.items()}
    if begun.legal_actions is not None and step.legal_actions is not None:
        row |= {"legal_actions": begun.legal_actions[env], "next_legal_actions": step.legal_actions[env]}
    return row


def _observe(
    spec: TaskSpec,
    rng: np.random.Generator,
    num_envs: int,
    starting: np.ndarray,
    before: Observation | None,
    padding: Literal["reset", "zero"],
) -> Observation:
    observation = {}
    for key, array in spec.observation.items():
        fresh = rng.integers(0, 100, (num_envs, *array.shape)).astype(array.dtype)
        if array.frame_stack > 1:  # as gymnasium's FrameStackObservation
            fresh[:, :-1] = fresh[:, -1:] if padding == "reset" else 0
            if before is not None:
                going = ~starting
                fresh[going, :-1] = before[key][going, 1:]
        observation[key] = fresh
    return observation


def _legal(spec: TaskSpec, rng: np.random.Generator, num_envs: int) -> np.ndarray | None:
    """In every state something, as in a task."""
    if not spec.action_masks:
        return None
    legal = spec.all_legal & (rng.random((num_envs, *spec.mask_shape)) < 0.7)
    legal[..., 0] |= ~legal.any(axis=-1)
    return legal
