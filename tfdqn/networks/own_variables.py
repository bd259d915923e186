"""`check_variables`: whether the user's own torso and head use the layers that they make, and no others."""

from collections.abc import Mapping

import tensorflow as tf

from tfdqn.errors import OwnCodeError
from tfdqn.networks.own_parts import described
from tfdqn.networks.q_network import QNetwork
from tfdqn.task_spec import TaskSpec

_ROWS = 3  # of the observation that is traced: more than one, and rarely the size of another axis


def check_variables(network: QNetwork, task_spec: TaskSpec, specs: Mapping[str, tf.TensorSpec], own: str) -> None:
    """Raises OwnCodeError unless the network uses exactly the weights that its layers say to have.

    Args:
      network: made, with its variables.
      task_spec: the task's observations.
      specs: what `weight_specs` says of the weights.
      own: which functions of the user's make the network, for the error.
    """
    observation = {key: tf.TensorSpec((_ROWS, *spec.shape), spec.dtype) for key, spec in task_spec.observation.items()}
    traced = tf.function(lambda observation: network(observation)[0], autograph=False)
    named = network.named_weights()
    known = {id(each) for each in named.values()}
    used = traced.get_concrete_function(observation).graph.variables  # in no order
    if unknown := sorted(each.name for each in used if id(each) not in known):
        raise OwnCodeError(
            f"{own}: the variable {unknown[0]} would be neither trained nor saved: layers must come from the argument "
            "make, such as make.dense(…)"
        )
    for name, spec in specs.items():
        if name not in named:
            raise OwnCodeError(f"{own}: a layer with the weight {name} is made, and never called")
        if named[name].shape != spec.shape:
            raise OwnCodeError(
                f"{own}: {name} is made as {described(spec)}, but what its layer is called with makes it "
                f"{described(named[name])}: correct fan_in or channels_in"
            )
