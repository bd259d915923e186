"""A run's configuration as it is shown and compared: without the modules of the user's own kinds."""

from pathlib import Path

import pytest

from tests.support.run_files import finished_run, name_own_kinds
from tests.support.tiny_runs import tiny
from tfdqn.config import toml
from tfdqn.config.schema import values_of
from tfdqn.errors import ConfigError, RunDirError
from tfdqn.storage.recorded_config import recorded
from tfdqn.storage.run_directory import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return finished_run(tmp_path / "run", tiny("seed=7", "network.hidden_units=[8, 9]"), [5.0], 5.0)


def test_of_built_in_kinds_it_is_the_configuration(run: RunDir) -> None:
    assert recorded(run) == (run.config(), values_of(run.config()))


def test_of_own_kinds_it_has_what_the_file_says_and_the_rest_is_read_as_always(run: RunDir) -> None:
    before = run.config()
    name_own_kinds(run.path, "bins = 51")
    with pytest.raises(ConfigError, match='there is no module "networks_elsewhere"'):
        run.config()
    found = recorded(run)
    own = {key: value for key, value in values_of(before)["agent"].items() if value is not None}
    assert found.values["agent"] == own | {"kind": "losses_elsewhere:own", "bins": 51}
    assert found.values["network"] == values_of(before)["network"] | {"kind": "networks_elsewhere:own"}
    assert found.values["learner"] == values_of(before)["learner"]
    assert (found.config.seed, found.config.stop, found.config.health) == (7, before.stop, before.health)


def test_of_own_kinds_a_key_that_is_newer_than_the_run_has_the_default_of_all_kinds(run: RunDir) -> None:
    name_own_kinds(run.path)
    before = recorded(run).values
    text = run.config_file.read_text()
    lines = [line for line in text.splitlines() if not line.startswith(("reward_scale =", "huber_delta ="))]
    run.config_file.write_text("\n".join(lines))
    agent = dict(before["agent"])
    assert agent["reward_scale"] == 1.0 and agent.pop("huber_delta") == 1.0  # which not all kinds have
    assert recorded(run).values == {**before, "agent": agent}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[stop]", "[stop]\nnonsense = 1", "nonsense"),
        ("[stop]", '[stop]\nkind = "elsewhere:own"', "stop.kind"),
        ("[stop]", "[stop", "is not valid TOML"),
        ("seed = 7", "seed = -7", "seed = -7"),
    ],
)
def test_a_damaged_file_is_one_line(run: RunDir, old: str, new: str, said: str) -> None:
    name_own_kinds(run.path)
    run.config_file.write_text(run.config_file.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=said) as refused:
        recorded(run)
    assert str(run.config_file) in str(refused.value)


def test_where_there_is_no_run_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="is not a run directory"):
        recorded(RunDir(tmp_path))


@pytest.mark.parametrize("left", [b"", b"\n# seed\n", b"[task]\n"], ids=["empty", "a comment", "a table"])
def test_a_run_s_configuration_without_any_key_was_cut_off_and_is_not_taken_for_the_defaults(
    run: RunDir, left: bytes
) -> None:
    run.config_file.write_bytes(left)
    for read in (
        lambda: recorded(run),
        run.config,
        lambda: toml.load(run.config_file),
        lambda: run.refuse_early(tiny()),
    ):
        with pytest.raises(ConfigError, match=f"^{run.config_file}: is empty, and a run has every key in it: restore"):
            read()
