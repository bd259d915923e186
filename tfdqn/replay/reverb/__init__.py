"""Replay in Reverb's servers: in this process (`in_process.py`), or in others of the job.

    an actor's `remote_writer` → `shard_server`, a process each → the learner's `remote_replay`, `sampling`

Items flow in as an item kind writes them, samples flow out as it decodes them. Calls to a server may block for ever:
whatever asks one does so with a deadline (`shard_clients.py`). It imports the rest of `replay`, and what
lies below.

Errors of updates go back by `priority_updates`.

To add a way to sample or to remove, a selector or a table's limits: `server.py`, where the one table is
made; what a sample then carries: `sampling.py`; what must be the same after a restart: `check_same_table`.
"""
