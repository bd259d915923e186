"""Replay in Reverb's servers: in this process (`in_process.py`), or in others of the job.

    an actor's `remote_writer` → `shard_server`, a process each → the learner's `remote_replay`, `sampling`

An item kind writes items, and decodes them into samples. A call to a server may block for ever, so every question to
one has a deadline (`shard_clients.py`). It imports the rest of `replay`, and storeys below.

Errors of updates go back by `priority_updates`.

To add a selector for sampling or removal, or a limit of the table, change `server.py`, which makes the table; change
`sampling.py` for what a sample then contains, and `check_same_table` for what must be the same after a restart.
"""
