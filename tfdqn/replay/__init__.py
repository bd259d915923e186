"""Replay: finished transitions flow in, samples flow out, each a nest of tensors with one leading axis.

    types.Experience → a Writer (n_step_writer, sequence_writer) → a table → a sampler → Sample → learning

`interfaces.py` says what a writer, a replay and a sample are; `factory.py` makes the backend that `replay.backend`
names: `in_graph.py`, a TensorFlow variable, or `reverb/`, servers here or in other processes. `items/` says what one
item of Reverb's tables is, `rows.py` what one row of a block or of the graph's table is, `codec.py` where its fields
lie in its bytes. The ratios keep updates and transitions in step. `rollout.py` and `rollout_turns.py` stand in the
place of all these for PQN, which keeps nothing that it has learned from. All of it imports only what lies below.

To add a backend: a class that is a `Replay`, its line in `factory.py`, its name in `config/schema.py`.

Priorities: a sampler that draws by them says so in `Sample.draw`, of which `learning.importance` makes weights; the
updaters tell each call's errors, and the learner hands them to `update_priorities`, which waits for no server.
`priorities.py` makes priorities of errors; the tables' selector is in `reverb/server.py`, the graph's tree in
`sum_tree.py`; both are saved with what is stored. Another way to draw is a selector there and a tree here.
"""
