"""Settings of one's own that a module defines and adds no loss or torso for: `tfdqn config` says so in one line."""

import json
import subprocess
import sys
from pathlib import Path

MODULES = {
    "no_loss": """
from tfdqn.config import Agent
class Mine(Agent, frozen=True, kw_only=True, tag_field="kind", tag="no_loss:mine"): pass
""",
    "no_torso": """
from tfdqn.config import Network
class Mine(Network, frozen=True, kw_only=True, tag_field="kind", tag="no_torso:mine"): pass
""",
    "derived": """
from tfdqn.config import DQN, MLP
class Mine(DQN, frozen=True, kw_only=True, tag_field="kind", tag="derived:mine"): pass
class Wide(MLP, frozen=True, kw_only=True, tag_field="kind", tag="derived:wide"): pass
""",
    "forgotten": """
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import Agent
class Mine(Agent, frozen=True, kw_only=True, tag_field="kind", tag="forgotten:mine"): pass
""",
    "added": """
from tfdqn.agents.losses.dqn import dqn
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import Agent
class Mine(Agent, frozen=True, kw_only=True, tag_field="kind", tag="added:mine"): pass
LOSSES[Mine] = dqn
""",
}
CASES = [
    ("agent.kind=no_loss:mine", "LOSSES has nothing for Mine, which no_loss must add to it", False),
    ("network.kind=no_torso:mine", "TORSOS has nothing for Mine, which no_torso must add to it", False),
    ("agent.kind=derived:mine", "", False),
    ("network.kind=derived:wide", "", False),
    ("agent.kind=dqn", "", False),
    ("agent.kind=forgotten:mine", "LOSSES has nothing for Mine, which forgotten must add to it", True),
    ("agent.kind=added:mine", "", True),
]
PROGRAM = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from tfdqn.cli.main import main

found = []
for override in json.load(sys.stdin):
    with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()) as printed:
        status = main(["config", "some.toml", override])
    found.append([status, said.getvalue(), bool(printed.getvalue()), "tensorflow" in sys.modules])
print(json.dumps(found))
"""


def test_a_module_that_adds_nothing_for_its_settings_is_one_line_without_tensorflow(tmp_path: Path) -> None:
    """In a process of its own, since a class is a kind of every configuration that is read after it."""
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "some.toml").write_text("seed = 3\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        input=json.dumps([override for override, *_ in CASES]),
        capture_output=True,
        text=True,
        check=True,
    )
    for (override, line, needs_tensorflow), found in zip(CASES, json.loads(done.stdout), strict=True):
        status, said, has_printed, has_tensorflow = found
        assert (override, status, has_printed) == (override, 2 if line else 0, not line)
        assert [each for each in said.splitlines() if each.startswith("tfdqn: ")] == (
            [f"tfdqn: {line}"] if line else []
        )
        assert (override, has_tensorflow) == (override, needs_tensorflow)
