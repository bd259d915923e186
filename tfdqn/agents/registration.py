"""`require_registered`: finds settings of the user's for which their module adds no loss or torso. No TensorFlow."""

import sys

from tfdqn.config import Config
from tfdqn.config.fields import Section
from tfdqn.config.own_code import is_own
from tfdqn.networks.registry import unregistered

# The registry of each section, and the module that has it: own modules that add to it have imported it.
_REGISTRIES = {"agent": ("LOSSES", "tfdqn.agents.losses.table"), "network": ("TORSOS", "tfdqn.networks.torsos.table")}


def require_registered(config: Config) -> None:
    """Raises ConfigError, as `Registry.of` does, for settings without a loss or torso. Imports nothing."""
    for section, (name, module) in _REGISTRIES.items():
        settings = getattr(config, section)
        kind = type(settings)
        if module in sys.modules:
            getattr(sys.modules[module], name).of(settings)
        elif not any(map(_is_built_in, kind.__mro__)):
            raise unregistered(name, kind)


def _is_built_in(kind: type) -> bool:
    """Whether it is one of the package's own kinds, all of which have what they need."""
    return issubclass(kind, Section) and not is_own(kind) and kind.__struct_config__.tag is not None
