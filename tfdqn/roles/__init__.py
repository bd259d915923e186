"""Roles: what a process of a job does, one file for each role.

In: a `RoleContext` (configuration, topology, which process this is, and functions to show a line and to ask whether to
stop). Out: whether the job is over. `entry.run_role` starts the heartbeat, imports the role's module, and calls its
`run`. A role may import every storey but `launch`, `tuning` and `cli`.

To add a role: its traits in `cluster/roles.py`, and here a module of its name with `run(context, membership)`, which
joins the learner, records its progress, and returns when `membership` says that the job is over. A role whose work is a
call into C++ that never returns uses `blocking_service.serve`. `tests/system_tests/test_every_role_may_die.py` kills
each role in turn.
"""
