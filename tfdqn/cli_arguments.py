"""Arguments that several verbs of the command line take."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="a TOML file, such as configs/cartpole.toml")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="keys to change, such as agent.n_step=3", show_default=False
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="a run's directory")]
