"""Coordination: how a job's processes communicate, and detect that another has died.

States, counts and weights go from one process to another. `rpc` carries the structs of `messages` between a
`Membership` (in every process but the learner) and the learner's `LearnerService`, whose `Roster` decides which
processes are dead. Heartbeats also go to files, for supervisors and probes. A `Watchdog` ends a process that waits in
vain. Imports no TensorFlow, and nothing above `agents`.

To add a message, add its struct to `messages.py` and a `Method` to `LearnerService`, and send it by `Membership.call`.
"""
