"""Replay on Reverb servers, in this process (`in_process.py`) or in other processes of the job.

    an actor's `remote_writer` → `shard_server`, a process each → the learner's `remote_replay`, `sampling`

An item kind (`replay.items`) writes items and decodes samples. `priority_updates` sends new priorities to the servers.
A call to a server could block forever, so every request has a deadline (`shards.py`). Imports the rest of
`replay`, and storeys below.

To add a selector for sampling or removal, or a limit of the table, change `server.py`, which makes the table. Change
`sampling.py` if samples then contain more, and `check_same_table` for what must be the same after a restart.
"""
