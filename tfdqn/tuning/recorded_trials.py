"""`read_trial`: a trial as Optuna has recorded it → a `Trial`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfdqn.tuning.search_space import Dimensions
from tfdqn.tuning.study_storage import value_of
from tfdqn.tuning.trial_records import Trial, TrialState

if TYPE_CHECKING:  # an extra
    from optuna.trial import FrozenTrial

FOLDER, WHY = "folder", "why"  # a trial's attributes: the id of the folder of its run, and why it failed


def read_trial(
    trial: "FrozenTrial", dimensions: Dimensions, folder_id: str, has_process: Callable[[int], bool]
) -> Trial:
    """A trial of a study with a folder on this host.

    Args:
      trial: as Optuna has it.
      dimensions: the study's, by key.
      folder_id: the id of the study's folder.
      has_process: whether a process runs the trial with this number, whose run is in the folder.
    """
    why = trial.user_attrs.get(WHY, "")
    state = TrialState[trial.state.name] if trial.state.name in TrialState.__members__ else TrialState.FAILED
    folder = trial.user_attrs.get(FOLDER)
    if (state is TrialState.FAILED and not why) or (state is TrialState.RUNNING and folder is None):
        state = TrialState.LOST
    if state is TrialState.RUNNING and folder == folder_id and not has_process(trial.number):
        state = TrialState.STOPPED
    score = trial.value if state is TrialState.COMPLETE else None
    return Trial(trial.number, state, values_of(trial, dimensions), score, trial.intermediate_values, why)


def values_of(trial: "FrozenTrial", dimensions: Dimensions) -> dict[str, Any]:
    """A trial's values, in the form that the configuration has."""
    return {key: value_of(dimensions[key], each) for key, each in trial.params.items()}
