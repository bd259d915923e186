"""How two configurations differ, in words: those of two sessions of a run, and of two processes."""

from tfdqn.config import DQN, Config, DoubleDQN, NatureCNN, Stop, Task
from tfdqn.config.toml import deviations, differences, from_mapping


def test_differences_name_the_key_and_both_values() -> None:
    run = Config(seed=1, agent=DQN(n_step=1))
    now = Config(seed=2, agent=DQN(n_step=3), task=Task(kwargs={"gravity": 12.0}))
    assert differences(run, now, "run") == [
        "seed: 1 in the run, 2 now",
        "task.kwargs: {} in the run, {gravity = 12.0} now",
        "agent.n_step: 1 in the run, 3 now",
    ]


def test_another_kind_is_one_difference() -> None:
    assert differences(Config(), Config(network=NatureCNN()), "run") == [
        'network.kind: "mlp" in the run, "nature_cnn" now'
    ]


def test_a_key_that_both_kinds_have_is_compared_wherever_it_is_fixed() -> None:
    run, now = Config(agent=DQN(n_step=1)), Config(agent=DoubleDQN(n_step=3), stop=Stop(env_steps=9_000))
    n_step = "agent.n_step: 1 in the run, 3 now"
    assert differences(run, now, "run") == ['agent.kind: "dqn" in the run, "double_dqn" now', n_step]
    assert differences(run, now, "replay") == [n_step]


def test_true_in_place_of_1_is_a_difference() -> None:
    assert differences(Config(task=Task(kwargs={"x": 1})), Config(task=Task(kwargs={"x": True})), "run")


def test_a_deviation_gives_both_values_as_overrides_would() -> None:
    chief = from_mapping({}, ["learner.tf32=true", "agent.n_step_end=5", "task.id=CartPole-v1"])
    own = from_mapping({}, ["learner.tf32=false", "task.id=Acrobot-v1", "seed=2"])
    assert deviations(own, chief, "the chief", besides=["seed"]) == [
        'task.id = "Acrobot-v1" where the chief has "CartPole-v1"',
        "agent.n_step_end = none where the chief has 5",
        "learner.tf32 = false where the chief has true",
    ]
