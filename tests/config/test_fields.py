"""Keys whose values are names: one of the package's, or one of the user's own."""

import pytest

from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError


@pytest.mark.parametrize(("key", "name"), [("replay.item", "block"), ("task.action_mask_source", "info")])
def test_a_line_break_after_a_name_is_refused(key: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} = .*must be one of"):
        from_mapping({}, ["task.action_masks=true", f'{key}="{name}\\n"'])
