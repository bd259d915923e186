"""How a job's processes talk, and notice that another has died.

States, counts and weights go from one process to another. `rpc` carries the structs of `messages` between a
`Membership` (in every process but the learner) and the learner's `LearnerService`, whose `Roster` decides which
processes are dead. Heartbeats also go to files, for supervisors and probes. A `Watchdog` ends a process that waits in
vain. Imports no TensorFlow, and nothing above `agents`.

Another message: its struct in `messages.py`, a `Method` in `LearnerService`, asked by `Membership.call`.
"""
