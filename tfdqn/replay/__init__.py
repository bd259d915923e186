"""Replay: takes finished transitions, and gives samples, each a nest of tensors with one leading axis.

    types.Experience → a Writer (n_step_writer, sequence_writer) → a table → a sampler → Sample → learning

`interfaces.py` defines writers, replays and samples. `factory.py` makes the backend that `replay.backend` names:
`in_graph.py`, a TensorFlow variable, or `reverb/`, servers in this process or in others. `items/` defines the items of
Reverb's tables, `rows.py` the rows of a block or of the in-graph table, `codec.py` the layout of a row's bytes.
`replay_ratio.py` and `reverb/shards.py` balance updates against transitions. PQN, which learns from each step only
once, uses `rollout.py` instead of all this. Imports only storeys below.

To add a backend, write a class that implements `Replay`; add it to `factory.py`, and its name to `config/replay.py`.

Priorities: a sampler that draws by priority fills `Sample.draw`, from which `learning.importance` computes weights.
The updaters return each call's TD errors; the learner passes them to `update_priorities`, which waits for no server.
`priorities.py` turns errors into priorities. Reverb's selector is in `reverb/server.py`, the in-graph tree in
`sum_tree.py`; the priorities of both are saved with the transitions. Another way to draw needs a selector and a tree.
"""
