"""Strategies: the ways in which `learner.strategy` divides updates among devices and processes.

Each is an `Updater` that uses `TrainStep`: `synchronous` (local, mirrored, multi_worker), `averaging`,
`parameter_server` with `sharded_variables`, `model_parallel`, `ensemble_processes`. `lockstep` makes the other
processes do what the chief does, and without replay learn from the chief's rollout. `factory` makes the updater, and
has the table of them; `chief` calls it in the chief. `other_processes` starts or awaits those that learn with the
chief, and `distribution` connects them by `tf.distribute`.

To add a strategy, write a file with its updater, a branch in `distribution.make_strategy` and `factory.make_updater`,
and a row in its table; its value in `config.learner`, its processes in `cluster.tf_config`, and a test of its parity
with plain local training in `tests/learning/strategies/test_factory_parity.py`.
"""
