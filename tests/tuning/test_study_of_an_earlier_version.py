"""A study that was begun by a version of tfdqn that had fewer keys."""

import json
from pathlib import Path

import pytest

from tests.support.studies import searched, study_in
from tfdqn.config import Config, toml
from tfdqn.tuning.study_folder import StudyError


def begun_without(folder: Path, config: Config, *keys: str) -> None:
    flat = {key: value for key, value in toml.flat(config).items() if key not in keys}
    study_in(folder, config=config)._study.set_user_attr("configuration", json.loads(json.dumps(flat)))


def test_it_goes_on_where_the_newer_keys_have_their_defaults(tmp_path: Path) -> None:
    begun_without(tmp_path, searched(), "learner.tf32", "checkpoint.max_time_share", "optimizer.beta_1")
    study_in(tmp_path)
    with pytest.raises(StudyError, match=r"another configuration: learner\.tf32 is true there, false here; choose"):
        study_in(tmp_path, config=searched("learner.tf32=false"))
    with pytest.raises(StudyError, match=r"another configuration: seed is 1 there, 2 here; choose"):
        study_in(tmp_path, config=searched("seed=2"))


def test_a_key_without_which_the_configuration_is_invalid_is_absent(tmp_path: Path) -> None:
    quiet = searched("network.noisy=true", "exploration.start=0.0", "exploration.end=0.0")
    begun_without(tmp_path, quiet, "exploration.end")
    with pytest.raises(StudyError, match=r"another configuration: exploration\.end is absent there, 0\.0 here; choose"):
        study_in(tmp_path, config=quiet)
