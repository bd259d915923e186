"""Learning: computes gradients from batches, and applies them to the weights.

In: samples, drawn in TensorFlow's graph from replay. Out: `updater.UpdateResult`, checked and published by `learner`.

- `train_step`: one update of one replica, which every strategy uses. `optimizers`: its optimizer, and clipping.
- `shared_programs`: compiles code once that several learners in a process have in common.
- `updater`: the interface of strategies. `strategies`: one file for each way to divide the work.

Imports the storeys below, replay and agents among them; of run directories and environments only what
`strategies.other_processes` needs to start processes.
"""
