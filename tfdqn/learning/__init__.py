"""Learning: batches → gradients → weights.

In: samples, drawn in TensorFlow's graph from replay. Out: `updater.UpdateResult`, checked and published by `learner`.

- `train_step`: one update of one replica, which every strategy drives. `optimizers`: its optimiser, and clipping.
- `shared_programs`: what several learners of one process compute alike is compiled once.
- `updater`: what a strategy is to the rest. `strategies`: one file for each way to divide the work.

It may import what stands below it, replay and agents among that, and nothing of a run's directory or its environments
but what `strategies.chief` needs to start processes.
"""
