"""Replay: finished transitions flow in, samples flow out, each a nest of tensors with one leading axis.

    types.Experience → a Writer (n_step_writer, sequence_writer) → a table → a sampler → Sample → learning

`interfaces.py` says what a writer, a replay and a sample are; `factory.py` makes the backend that `replay.backend`
names: `in_graph.py`, a TensorFlow variable, or `reverb/`, servers here or in other processes. `items/` defines the
items of Reverb's tables, `rows.py` the rows of a block or of the graph's table, `codec.py` the layout of a row's bytes.
The ratios balance updates and transitions. For PQN, which forgets what it has learned from, `rollout.py` and
`rollout_turns.py` take the place of all this. It only imports storeys below.

To add a backend: a class that is a `Replay`, its line in `factory.py`, its name in `config/schema.py`.

Priorities: a sampler that draws by priorities fills `Sample.draw`, from which `learning.importance` computes weights.
The updaters return each call's TD errors; the learner passes them to `update_priorities`, which waits for no server.
`priorities.py` turns errors into priorities; the tables' selector is in `reverb/server.py`, the graph's tree in
`sum_tree.py`; both are saved with the transitions. Another way to draw is a selector there and a tree here.
"""
