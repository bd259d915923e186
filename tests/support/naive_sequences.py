"""The slow writer of sequences that the fast one must equal."""

from typing import Any, NamedTuple

import numpy as np

from tfdqn.config import DQN, MLP, Config, Replay
from tfdqn.types import Experience

DISCOUNT = 0.9
STATE_SIZE = 3


class Shape(NamedTuple):
    """Of the sequences."""

    burn_in: int
    length: int
    period: int
    n_step: int

    def config(self, **replay: Any) -> Config:
        own = {"item": "sequence", "burn_in": self.burn_in, "sequence_length": self.length}
        return Config(
            network=MLP(memory="gru", memory_units=STATE_SIZE),
            agent=DQN(n_step=self.n_step, discount=DISCOUNT),
            replay=Replay(**own | {"sequence_period": self.period} | replay),
        )


def naive_sequences(taken: list[Experience], states: np.ndarray, shape: Shape) -> list[dict[str, np.ndarray]]:
    """Every sequence, from the definition alone: each episode by itself, looked at as a whole.

    `states` is float32[time, E, S]: what was remembered at each time.
    """
    found = []
    for env in range(len(taken[0].action)):
        for times, has_ended in _episodes(taken, env):
            for start in _starts(len(times), has_ended, shape):
                found.append(_sequence(taken, states, env, times, start, shape))
    return found


def _episodes(taken: list[Experience], env: int) -> list[tuple[list[int], bool]]:
    """The times of each episode's steps, and whether it came to an end."""
    episodes: list[tuple[list[int], bool]] = [([], False)]
    for time, step in enumerate(each.step for each in taken):
        if not step.is_reset[env]:
            episodes[-1][0].append(time)
        if step.is_reset[env]:
            episodes.append(([], False))
        elif step.terminated[env] or step.truncated[env]:
            episodes[-1] = (episodes[-1][0], True)
            episodes.append(([], False))
    return [(times, has_ended) for times, has_ended in episodes if times]


def _starts(steps: int, has_ended: bool, shape: Shape) -> list[int]:
    starts = []
    for start in range(0, steps, shape.period):
        is_complete = start + shape.length + shape.n_step - 1 <= steps
        adds_something = not starts or starts[-1] + shape.length < steps
        if (has_ended and adds_something) or (not has_ended and is_complete):
            starts.append(start)
    return starts


def _sequence(
    taken: list[Experience], states: np.ndarray, env: int, times: list[int], start: int, shape: Shape
) -> dict[str, np.ndarray]:
    observed = [{key: value[env] for key, value in taken[time].observation.items()} for time in times]
    observed.append({key: value[env] for key, value in taken[times[-1]].step.observation.items()})
    rows: dict[str, list[Any]] = {f"observation/{key}": [] for key in observed[0]}
    size = shape.burn_in + shape.length + shape.n_step
    for at in range(start - shape.burn_in, start - shape.burn_in + size):
        for key, value in observed[0].items():
            rows[f"observation/{key}"].append(observed[at][key] if 0 <= at < len(observed) else np.zeros_like(value))
    first = max(shape.burn_in - start, 0)
    masks = {"legal_tm1": [], "legal_t": []} if taken[0].legal_actions is not None else {}
    for name in ("action", "reward", "discount", "steps", *masks):
        rows[name] = []
    for at in range(start, start + shape.length):
        for name, value in _transition(taken, env, times, at, shape.n_step).items():
            if name in rows:
                rows[name].append(value)
    found = {name: np.stack(values) for name, values in rows.items()}
    return found | {"first": np.array(first), "state": states[times[start - shape.burn_in + first], env]}


def _transition(taken: list[Experience], env: int, times: list[int], at: int, n: int) -> dict[str, Any]:
    mask = None if taken[0].legal_actions is None else taken[0].legal_actions[env]
    if at >= len(times):
        none = None if mask is None else np.zeros_like(mask)
        nothing = np.zeros_like(taken[0].action[env])
        return {"action": nothing, "reward": 0.0, "discount": 0.0, "steps": 0, "legal_tm1": none, "legal_t": none}
    window = times[at : at + n]
    last = taken[window[-1]].step
    total = sum(DISCOUNT**i * float(taken[time].step.reward[env]) for i, time in enumerate(window))
    return {
        "action": taken[times[at]].action[env],
        "reward": total,
        "discount": 0.0 if last.terminated[env] else DISCOUNT ** len(window),
        "steps": len(window),
        "legal_tm1": None if mask is None else taken[times[at]].legal_actions[env],
        "legal_t": None if mask is None else last.legal_actions[env],
    }
