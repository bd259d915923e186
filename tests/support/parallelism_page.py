"""docs/parallelism.md for tests: its text, its commands as they stand, and keys that make any of them a short run."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PAGE = (Path(__file__).parents[2] / "docs" / "parallelism.md").read_text(encoding="utf-8")
TINY = (
    *("task.num_envs=4", "network.hidden_units=[16]", "learner.batch_size=32", "learner.xla=off"),
    *("stop.env_steps=640", "exploration.decay_env_steps=320", "logging.tensorboard=false"),
    *("evaluation.episodes=1", "evaluation.confirm_episodes=0", "evaluation.final_episodes=1"),
)
TINY_REPLAY = ("learner.updates_per_call=10", "replay.block_size=4", "replay.capacity=1000", "replay.min_size=100")


class Command(NamedTuple):
    """What a shell makes of one command of the page."""

    arguments: list[str]
    tf_config: str | None

    @property
    def short(self) -> list[str]:
        """The same of a small task with few updates."""
        has_replay = "configs/algorithms/pqn.toml" not in self.arguments
        return [*self.arguments, *TINY, *(TINY_REPLAY if has_replay else ())]


def commands(folder: Path) -> list[Command]:
    """Every command, as bash gives it to a program of the name `tfdqn` that prints what it was given."""
    program = folder / "tfdqn"
    script = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ.get('TF_CONFIG')]))"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run(
        ["bash", "-euc", "\n".join(blocks)], env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [Command(*json.loads(line)) for line in done.stdout.splitlines()]
