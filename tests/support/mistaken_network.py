"""A torso and a head, as a package outside tfdqn would add them, with the mistake that their settings name."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import tensorflow as tf

from tfdqn.agents.losses.dqn import dqn
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import DQN, Config, Network
from tfdqn.config.fields import doc
from tfdqn.networks.branches import branching, branching_numpy
from tfdqn.networks.encoding import encode, encode_numpy, num_features
from tfdqn.networks.heads.head import BranchesKind, Head, HeadKind, LinearHead
from tfdqn.networks.heads.table import HEADS
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.streams import stream
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.networks.torsos.torso import Hidden, Torso, TorsoKind
from tfdqn.task_spec import TaskSpec

UNITS = 8


class MistakenNetwork(Network, frozen=True, kw_only=True, tag_field="kind", tag="tests.support.mistaken_network:torso"):
    """A dense layer."""

    mistake: Annotated[str, doc("what is wrong with it")] = ""


class MistakenAgent(DQN, frozen=True, kw_only=True, tag_field="kind", tag="tests.support.mistaken_network:head"):
    """DQN with a head of its own."""

    mistake: Annotated[str, doc("what is wrong with it")] = ""


def mistaken(network: str = "", agent: str = "") -> Config:
    return Config(network=MistakenNetwork(mistake=network), agent=MistakenAgent(mistake=agent))


FEATURES: dict[str, Callable[[tf.Tensor], Any]] = {
    "width": lambda x: x[:, :3],
    "dtype": lambda x: tf.cast(x, tf.float16),
    "list": lambda x: [x],
    "none": lambda x: None,
    "array": lambda x: np.zeros((1, UNITS), np.float32),
    "raises": lambda x: 1 / 0,
    "flat": lambda x: tf.reshape(x, [-1]),
    "mean of the batch": lambda x: tf.reduce_mean(x, axis=0, keepdims=True),
}


def torso(settings: MistakenNetwork, task_spec: TaskSpec, make: LayerFactory) -> Any:
    mistake, inputs = settings.mistake, num_features(task_spec)
    layer = make.dense("first", UNITS, "relu", fan_in=inputs + 1 if mistake == "fan_in" else inputs)
    if mistake in ("same name", "unused"):
        make.dense("first" if mistake == "same name" else "second", UNITS, fan_in=UNITS)
    if mistake == "convolution":
        make.conv("second", UNITS, 1, 1, channels_in=1)
    if mistake == "padded convolution":
        make.padded_conv("second", UNITS, 1, channels_in=1)
    own_layer = tf.keras.layers.Dense(UNITS)

    def features(observation: dict[str, tf.Tensor]) -> Any:
        x = layer(encode(observation, task_spec))
        return FEATURES.get(mistake, own_layer if mistake == "own layer" else lambda x: x)(x)

    made: dict[str, Any] = {
        "tuple": (UNITS, features),
        "nothing": None,
        "float width": Torso(float(UNITS), features),
        "no width": Torso(0, features),
        "no function": Torso(UNITS, 3),
        "two parameters": Torso(UNITS, lambda observation, more: features(observation)),
    }
    return made.get(mistake, Torso(UNITS, features))


def hidden(settings: MistakenNetwork) -> Any:
    made: dict[str, Any] = {
        "hidden tuple": ("hidden", UNITS, "relu"),
        "hidden name": Hidden("", UNITS, "relu"),
        "hidden units": Hidden("hidden", 0, "relu"),
        "hidden float": Hidden("hidden", 8.0, "relu"),
        "hidden activation": Hidden("hidden", UNITS, "rellu"),
        "hidden": Hidden("hidden", UNITS, "relu"),
    }
    return made.get(settings.mistake)


IN_NUMPY: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy float64": lambda x: x.astype(np.float64),
    "numpy other": lambda x: x + 1,
    "numpy raises": lambda x: 1 / 0,
    "numpy mean": lambda x: x.mean(axis=0),
}


def torso_numpy(settings: MistakenNetwork, task_spec: TaskSpec) -> Any:
    def features(weights: dict[str, np.ndarray], observation: dict[str, np.ndarray]) -> Any:
        x = encode_numpy(observation, task_spec) @ weights["first/kernel"] + weights["first/bias"]
        return IN_NUMPY.get(settings.mistake, np.asarray)(np.maximum(x, 0))

    made: dict[str, Any] = {"numpy nothing": None, "numpy one parameter": lambda weights: weights}
    return made.get(settings.mistake, features)


Q: dict[str, Callable[[tf.Tensor], Any]] = {
    "one column": lambda q: q[:, :1],
    "no batch": lambda q: tf.reduce_mean(q, axis=0),
    "actions": lambda q: tf.argmax(q, axis=-1),
    "none": lambda q: None,
}


class MistakenHead(Head):
    def __init__(self, config: Config, width: int, num_actions: int, make: LayerFactory):
        super().__init__(stream(config, width, num_actions, make))
        self._mistake = config.agent.mistake
        if self._mistake == "convolution":
            make.conv("second", UNITS, 1, 1, channels_in=1)

    def q_values(self, outputs: tf.Tensor) -> Any:
        return Q.get(self._mistake, tf.identity)(outputs)


class NoNoise(MistakenHead):
    def outputs(self, features: tf.Tensor) -> tf.Tensor:
        return self._stream(features, None)


def head(config: Config, width: int, num_actions: int, make: LayerFactory) -> Any:
    made: dict[str, Callable[..., Any]] = {"nothing": lambda *_: None, "no noise": NoNoise}
    return made.get(config.agent.mistake, MistakenHead)(config, width, num_actions, make)


def branches(config: Config, width: int, num_actions: Sequence[int], make: LayerFactory) -> Any:
    made = branching(config, width, num_actions, make)
    own_layer = tf.keras.layers.Dense(width)
    if config.agent.mistake == "own layer":
        return LinearHead(lambda features, noise: made.outputs(own_layer(features), noise))
    return made


def head_numpy(config: Config) -> Any:
    return lambda weights, features, rng: features @ weights["q/kernel"] + weights["q/bias"]


TORSOS[MistakenNetwork] = TorsoKind(torso, torso_numpy, hidden)
HEADS[MistakenAgent] = HeadKind(head, head_numpy, branches=BranchesKind(branches, branching_numpy))
LOSSES[MistakenAgent] = dqn
