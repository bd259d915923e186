"""The section `network`: one struct per kind."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from tfdqn.config.fields import Positive, Section, doc, kinds, needs


class Network(Section, frozen=True, kw_only=True):
    """The base of all kinds of networks. A subclass with a tag is a kind of its own, wherever it is defined."""

    # On a CPU, for an update with a batch of the usual size: whether XLA makes it slower, as it does convolutions, and
    # whether it gains enough from several cores to be given all of them.
    is_slow_in_xla: ClassVar[bool] = False
    fills_all_cores: ClassVar[bool] = False
    title: ClassVar[str] = ""  # its name in messages; "": its kind

    @property
    def state_size(self) -> int:
        """How many numbers the recurrent state has; 0: the network has no memory."""
        return 0


class DeepNetwork(Network, frozen=True, kw_only=True):
    """The keys of networks of several layers."""

    layer_norm: Annotated[bool, doc("layer normalisation before the activation of every hidden layer")] = False
    dueling: Annotated[bool, doc("separate streams for value and advantages, from the last hidden layer on")] = False
    noisy: Annotated[bool, doc("explore by learned noise in the weights of the last hidden layer and the output")] = (
        False
    )
    noisy_sigma: Annotated[
        Positive, needs("network.noisy", True), doc("sigma_0: noise scales start at sigma_0 / sqrt(inputs)")
    ] = 0.5
    memory: Annotated[Literal["none", "lstm", "gru"], doc("recurrent layer before the last hidden layer")] = "none"
    memory_units: Annotated[
        int, needs("network.memory", "lstm", "gru"), doc("width of the recurrent layer", ge=1, le=65536)
    ] = 512

    @property
    def state_size(self) -> int:
        return {"none": 0, "lstm": 2, "gru": 1}[self.memory] * self.memory_units


NormalizeObservations = Annotated[
    bool, doc("standardise each element by its running mean and standard deviation, before the first layer")
]


class MLP(DeepNetwork, frozen=True, kw_only=True, tag_field="kind", tag="mlp"):
    """Dense layers over the flattened observation."""

    title = "MLP"

    hidden_units: Annotated[tuple[Annotated[int, Meta(ge=1, le=65536)], ...], doc("width of each hidden layer")] = (
        120,
        84,
    )
    activation: Annotated[Literal["relu", "tanh", "elu"], doc("activation of each hidden layer")] = "relu"
    normalize_observations: NormalizeObservations = False


class ConvolutionalNetwork(DeepNetwork, frozen=True, kw_only=True):
    """The base of networks with convolutions, also of your own: without it a torso may make none.

    On CPUs they are computed by oneDNN and without XLA, with all cores: a subclass with small convolutions, which gain
    little from further cores, sets `fills_all_cores = False`.
    """

    is_slow_in_xla = fills_all_cores = True


class NatureCNN(ConvolutionalNetwork, frozen=True, kw_only=True, tag_field="kind", tag="nature_cnn"):
    """Mnih et al. 2015, Methods: three convolutions and a dense layer, for images of at least 36 x 36 pixels."""

    title = "Nature CNN"

    dense_units: Annotated[int, doc("width of the dense layer", ge=1, le=65536)] = 512


class SmallCNN(ConvolutionalNetwork, frozen=True, kw_only=True, tag_field="kind", tag="small_cnn"):
    """Young and Tian 2019, for boards such as MinAtar's 10 x 10: 16 filters of 3 x 3 and a dense layer."""

    fills_all_cores = False
    title = "small CNN"

    dense_units: Annotated[int, doc("width of the dense layer", ge=1, le=65536)] = 128


class Impala(ConvolutionalNetwork, frozen=True, kw_only=True, tag_field="kind", tag="impala"):
    """Espeholt et al. 2018, figure 3: fifteen convolutions with residual connections, and a dense layer."""

    title = "IMPALA"

    width: Annotated[int, doc("factor on the 16, 32 and 32 channels", ge=1, le=64)] = 1
    spectral_norm: Annotated[bool, doc("divide residual blocks' kernels by their largest singular values")] = False
    adaptive_pooling: Annotated[
        int, doc("N: max-pool the last feature maps to N x N, whatever their size; 0: no pooling", ge=0, le=64)
    ] = 0
    dense_units: Annotated[int, doc("width of the dense layer", ge=1, le=65536)] = 256


class Linear(Network, frozen=True, kw_only=True, tag_field="kind", tag="linear"):
    """Linear in the features phi(s): Q(s, a) = theta_a . phi(s)."""

    title = "linear network"

    features: Annotated[Literal["identity", "polynomial"], doc("the feature map phi")] = "identity"
    degree: Annotated[
        int, needs("network.features", "polynomial"), doc("highest total degree of the polynomial features", ge=1, le=6)
    ] = 2
    normalize_observations: NormalizeObservations = False


def may_convolve(section: Any) -> bool:
    """Whether the section `network` of a file, unchecked, may be of a network with convolutions.

    A network of the user's own may, as long as its module hasn't been imported.
    """
    kind = section.get("kind") if isinstance(section, Mapping) else None
    if not isinstance(kind, str):
        return False
    known = kinds(Network).get(kind)
    return ":" in kind if known is None else issubclass(known, ConvolutionalNetwork)
