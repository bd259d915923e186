"""Where a search keeps the runs of its trials, by which such a run can be told from any other."""

import os
from pathlib import Path

STUDY_FILE = "study.json"  # in a study's folder, by which that is known
TRIALS = "trials"  # in it: the folder of the trials' runs


def is_trial(run: Path) -> bool:
    """Whether a run is a trial of a search, which may have been chosen among others for its score."""
    folder = Path(os.path.abspath(run)).parent
    return folder.name == TRIALS and (folder.parent / STUDY_FILE).is_file()
