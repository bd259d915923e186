"""Strategies: the ways in which `learner.strategy` divides updates among devices and processes.

Each is an `Updater` that drives `TrainStep`: `synchronous` (local, mirrored, multi_worker), `averaging`,
`parameter_server` over `sharded_variables`, `model_parallel`, `ensemble_processes`; `lockstep` has the other processes
make what the chief makes, of the chief's rollout where there is no replay (`shared_rollout`). `factory` chooses one,
`chief` starts or meets the processes that it needs.

The next one: a file with its updater, a branch in `factory.make_strategy` and `factory.make_updater`, its value in
`config.learner`, its processes in `cluster.checks`, and its parity with plain local training in
`tests/learning/strategies/test_factory_parity.py`.
"""
