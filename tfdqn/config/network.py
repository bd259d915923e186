"""The section `network`: one struct per kind."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from tfdqn.config.fields import Section, doc


class Network(Section, frozen=True, kw_only=True):
    """A function of the observation. A subclass with a tag is a kind of its own, wherever it is defined."""

    has_convolutions: ClassVar[bool] = False  # on a CPU they take all cores at once, and XLA's are slow

    @property
    def state_size(self) -> int:
        """How many numbers it remembers of an episode; 0: it has no memory."""
        return 0


class MLP(Network, frozen=True, kw_only=True, tag_field="kind", tag="mlp"):
    """Dense layers over the flattened observation."""

    hidden_units: Annotated[tuple[Annotated[int, Meta(ge=1, le=65536)], ...], doc("width of each hidden layer")] = (
        120,
        84,
    )
    activation: Annotated[Literal["relu", "tanh", "elu"], doc("of each hidden layer")] = "relu"


class NatureCNN(Network, frozen=True, kw_only=True, tag_field="kind", tag="nature_cnn"):
    """Mnih et al. 2015, Methods: three convolutions and a dense layer, for images of at least 36 x 36 pixels."""

    has_convolutions = True

    dense_units: Annotated[int, doc("width of the dense layer", ge=1, le=65536)] = 512


class Linear(Network, frozen=True, kw_only=True, tag_field="kind", tag="linear"):
    """Q(s, a) = theta_a . phi(s)."""

    features: Annotated[Literal["identity", "polynomial"], doc("the feature map phi")] = "identity"
    degree: Annotated[int, doc("highest total degree of the polynomial features", ge=1, le=6)] = 2
