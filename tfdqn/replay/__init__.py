"""Replay: finished transitions flow in, samples flow out, each a nest of tensors with one leading axis.

    types.Step → a Writer (n_step_writer, sequence_writer) → a table → a sampler → Sample → learning

`interfaces.py` says what a writer, a replay and a sample are; `factory.py` makes the backend that `replay.backend`
names: `in_graph.py`, a TensorFlow variable, or `reverb/`, servers here or in other processes. `items/` says what one
item of Reverb's tables is, `rows.py` what one row of a block or of the graph's table is. The ratios keep updates and
transitions in step. `rollout.py` and `rollout_turns.py` stand in the place of all these for PQN, which keeps nothing
that it has learned from. All of it imports only what lies below.

To add a backend: a class that is a `Replay`, its line in `factory.py`, its name in `config/schema.py`.

To add priorities:
1. `Sample` gets `keys` uint64[N] beside `weights` float32[N], which the losses already take: both come with a sampled
   item of Reverb (`info.key`, `info.probability`), or from a tree of sums in the graph. Blocks of more than one
   transition have no priority of their own: refused with `replay.block_size` above 1.
2. `Replay` gets `update_priorities(keys, priorities)`, and new items the largest priority so far, or the actor's.
3. The updater gives each call's keys and absolute TD errors (`UpdateResult`), gathered over its replicas, and the
   learner, their one reader, hands them on off the updates' path.
4. The tables' selector (`reverb/server.py`), the exponents and the annealing of β as keys of `[replay]`, and what is
   saved: Reverb's checkpoints hold priorities, the graph's table saves its own.
"""
