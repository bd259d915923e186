"""Roles: one file is one process's part in a job.

In flows a `RoleContext` (configuration, topology, which process this is, what shows a line, whether to stop); out flows
whether the job is over. `entry.run_role` gives the first heartbeat, imports the role's module, and calls its `run`.
May import every storey but `launch`, `tuning` and `cli`.

Another role: its traits in `cluster/roles.py`, and here a module of its name with `run(context, membership)`, which
joins the learner, records its progress, and returns when `membership` says that the job is over. One that works in
calls below Python goes through `blocking_service.serve`. `tests/system_tests/test_every_role_may_die.py` kills it.
"""
