"""How the configurations of two processes differ, in words."""

from tfdqn.config.toml import deviations, from_mapping


def test_a_deviation_gives_both_values_as_overrides_would() -> None:
    chief = from_mapping({}, ["learner.tf32=true", "agent.n_step_end=5", "task.id=CartPole-v1"])
    own = from_mapping({}, ["learner.tf32=false", "task.id=Acrobot-v1", "seed=2"])
    assert deviations(own, chief, "the chief", besides=["seed"]) == [
        'task.id = "Acrobot-v1" where the chief has "CartPole-v1"',
        "agent.n_step_end = none where the chief has 5",
        "learner.tf32 = false where the chief has true",
    ]
