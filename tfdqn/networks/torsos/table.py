"""`TORSOS`: the torso for each type of the settings in `[network]`."""

from tfdqn.config import MLP, Impala, Linear, NatureCNN, Network, SmallCNN
from tfdqn.networks.registry import Registry
from tfdqn.networks.torsos.impala import impala
from tfdqn.networks.torsos.linear import linear, linear_numpy
from tfdqn.networks.torsos.mlp import hidden_layers, mlp, mlp_numpy
from tfdqn.networks.torsos.nature_cnn import nature_cnn
from tfdqn.networks.torsos.small_cnn import small_cnn, small_cnn_numpy
from tfdqn.networks.torsos.torso import Hidden, TorsoKind, check_torso_kind


def _after_convolutions(settings: NatureCNN | SmallCNN | Impala) -> Hidden:
    return Hidden("hidden_0", settings.dense_units, "relu")


TORSOS: Registry[TorsoKind] = Registry(
    "TORSOS",
    Network,
    {
        MLP: TorsoKind(mlp, mlp_numpy, lambda settings: next(reversed(hidden_layers(settings)), None)),
        NatureCNN: TorsoKind(nature_cnn, hidden=_after_convolutions),
        SmallCNN: TorsoKind(small_cnn, small_cnn_numpy, hidden=_after_convolutions),
        Impala: TorsoKind(impala, hidden=_after_convolutions),
        Linear: TorsoKind(linear, linear_numpy),
    },
    check_torso_kind,
)
