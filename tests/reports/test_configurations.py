"""Groups of runs: by whatever their configurations differ in but the seed, and labels that tell them apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.errors import UserError
from tfdqn.reports import configurations as module
from tfdqn.reports.configurations import (
    Configuration,
    agent_of,
    compared,
    differing_keys,
    grouped,
    labels,
    require_one_task,
)


class Run(NamedTuple):
    configuration: Configuration
    path: Path


def test_the_seed_and_what_is_kept_and_shown_of_a_run_are_no_differences_and_everything_else_is() -> None:
    shown = "tracking.name=third", "tracking.wandb=true", "logging.tensorboard=true", "checkpoint.interval_seconds=7"
    settings = [
        ("seed=1",),
        ("seed=2",),
        ("seed=1", "acting.fetch_interval_seconds=1"),
        ("seed=3", *shown, "export.on_best=true"),
    ]
    configurations = [tiny(*each) for each in settings]
    groups = grouped(Run(compared(each), Path(str(number))) for number, each in enumerate(configurations))
    assert [[str(run.path) for run in runs] for runs in groups] == [["0", "1", "3"], ["2"]]
    assert differing_keys([runs[0].configuration for runs in groups]) == ["acting.fetch_interval_seconds"]


def test_a_key_that_only_some_kinds_have_is_a_difference() -> None:
    configurations = [compared(tiny()), compared(tiny("agent.kind=qr_dqn"))]
    assert {"agent.kind", "agent.quantiles"} <= set(differing_keys(configurations))


def test_a_key_without_a_value_is_none_that_a_kind_lacks() -> None:
    without = {"agent": {"kind": "elsewhere:own", "discount": 0.99}}
    one, other = compared(tiny()), compared(tiny()) | compared(without)
    del other["agent.discount"]
    assert "agent.n_step_end" not in differing_keys([one, other])
    stops = [compared(tiny(*each)) for each in ((), ("stop.return_at_least=5",))]
    assert labels(stops, ["x", "x"]) == ["x, stop.return_at_least=none", "x, stop.return_at_least=5"]


def test_an_agent_is_in_words_unless_it_is_a_module_s() -> None:
    assert agent_of(compared(tiny("agent.kind=double_dqn"))) == "double dqn"
    assert agent_of({"agent.kind": "my_losses:hl_gauss"}) == "my_losses:hl_gauss"


def test_a_name_that_is_one_configuration_s_own_says_enough() -> None:
    configurations = [compared(tiny(f"agent.n_step={n}")) for n in (1, 2, 3)]
    assert labels(configurations, ["a", "b", "b"]) == ["a", "b, agent.n_step=2", "b, agent.n_step=3"]


def test_what_tells_configurations_of_one_name_apart_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compare, compared_each_time = module.differing_keys, list[int]()

    def counted(configurations: Sequence[Configuration]) -> list[str]:
        compared_each_time.append(len(configurations))
        return compare(configurations)

    monkeypatch.setattr(module, "differing_keys", counted)
    configurations = [compared(tiny(f"agent.n_step={n}")) for n in range(1, 21)]
    found = labels(configurations, ["a", "b"] * 10)
    assert found[:2] == ["a, agent.n_step=1", "b, agent.n_step=2"]
    assert compared_each_time == [10, 10]


def test_a_number_in_a_label_has_six_digits() -> None:
    configurations = [compared(tiny(f"optimizer.learning_rate={rate}")) for rate in (0.0013746523135766638, 0.001)]
    assert labels(configurations, ["x", "x"])[0] == "x, optimizer.learning_rate=0.00137465"


def test_labels_name_three_keys_or_as_many_as_tell_all_apart() -> None:
    first = ("agent.discount=0.9", "agent.n_step=2", "evaluation.episodes=5")
    settings = [(), first, (*first, "learner.batch_size=8"), (*first, "learner.batch_size=8", "stop.env_steps=1300")]
    configurations = [compared(tiny(*each)) for each in settings]
    found = labels(configurations[:2], ["x", "x"])
    assert found[1] == "x, agent.n_step=2, agent.discount=0.9, evaluation.episodes=5"
    found = labels(configurations, ["x"] * 4)
    assert len(set(found)) == 4
    assert found[3].endswith("agent.discount=0.9, learner.batch_size=8, stop.env_steps=1300, …")


def test_keys_of_the_task_and_the_algorithm_are_named_before_budgets_and_evaluations() -> None:
    bookkeeping = ("stop.env_steps=1300", "evaluation.episodes=5", "evaluation.final_episodes=6")
    important = ("replay.capacity=900", "agent.n_step=2", "network.hidden_units=[7]", "task.action_masks=true")
    configurations = [compared(tiny()), compared(tiny(*bookkeeping, *important, "agent.n_step_end=1"))]
    names = ["task.action_masks", "network.hidden_units", "agent.n_step", "agent.n_step_end", "replay.capacity"]
    names += ["stop.env_steps", "evaluation.episodes", "evaluation.final_episodes"]
    assert differing_keys(configurations) == differing_keys(configurations[::-1]) == names
    found = labels(configurations, ["x", "x"])
    assert found[1] == "x, task.action_masks=True, network.hidden_units=(7,), agent.n_step=2, …"


def test_runs_of_different_tasks_are_refused_with_one_of_each() -> None:
    runs = [
        Run(compared(tiny(f"task.id={task}")), Path(name)) for name, task in (("a", "CartPole-v1"), ("b", "Acrobot-v1"))
    ]
    with pytest.raises(
        UserError, match=r"different tasks.*give runs of only one of these: CartPole-v1 \(a\); Acrobot-v1 \(b\)"
    ):
        require_one_task(runs)
    assert require_one_task(runs[:1]) == "CartPole-v1"
