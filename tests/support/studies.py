"""Studies for tests: a small space, a process that runs trials of a cheap function, and what is left of them."""

import math
import sys
import time
from pathlib import Path

from tfdqn.config import Config
from tfdqn.config.toml import from_mapping
from tfdqn.tuning.search_space import Choices, NumberRange, SearchSpace
from tfdqn.tuning.study import ClaimedTrial, Settings, Study
from tfdqn.tuning.study_folder import StudyFolder
from tfdqn.tuning.study_storage import Pruner

SPACE = SearchSpace(
    "space.toml",
    {
        "optimizer.learning_rate": NumberRange(1e-5, 1e-1, log=True),
        "agent.n_step": NumberRange(1, 9, 2),
        "network.hidden_units": Choices(((16,), (8, 8))),
    },
)


def searched(*overrides: str) -> Config:
    """Evaluated every 500 environment steps, for 1,200. TensorFlow is not imported for it."""
    values = {"stop": {"env_steps": 1_200}, "evaluation": {"interval_env_steps": 500, "final_episodes": 4}}
    return from_mapping({**values, "replay": {"capacity": 1_000, "min_size": 100}}, overrides)


def study_in(
    folder: Path, pruner: Pruner = Pruner.none, storage: str | None = None, config: Config | None = None
) -> Study:
    return Study(StudyFolder(folder), config or searched(), SPACE, Settings(storage, "test", pruner))


def score(trial: ClaimedTrial) -> float:
    """Best at a learning rate of 0.01 and long returns."""
    return -abs(math.log10(trial.values["optimizer.learning_rate"]) + 2) + 0.1 * trial.values["agent.n_step"]


def held_by(folder: Path) -> Path:
    """Beside the study's folder, which takes no strange file."""
    return folder.with_name(f"{folder.name}.held")


def carry_on(folder: Path, wanted: int, storage: str | None = None) -> None:
    """One of the processes of a study, until that has so many trials; each of its trials leaves a line in a file.

    While there is the file `held_by`, the last trial is not begun.
    """
    study = study_in(folder, storage=storage)
    while True:
        is_held = held_by(folder).exists()
        claimed = study.next_trial(wanted - is_held)
        if claimed is None:
            if not is_held and not any(each.state == "running" for each in study.trials()):
                return
            time.sleep(0.05)
            continue
        with (folder / f"begun-{claimed.number}").open("a") as file:
            file.write(f"{claimed.values['optimizer.learning_rate']!r}\n")
        for evaluation in (1, 2, 3):
            time.sleep(0.02)
            study.report(claimed, evaluation, score(claimed) + evaluation)
        study.complete(claimed, score(claimed))


if __name__ == "__main__":
    carry_on(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
