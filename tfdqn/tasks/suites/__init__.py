"""Suites: where environments come from, one file for each source.

In flows the section `task` of the configuration; out flow a `TaskSpec` and environments with gymnasium's vector
interface, which `BatchedTask` steps. A suite imports what lies below `tasks`, the adapters and the contract.

To add one (EnvPool, say; `atari` is an example):
1. A file here with a class that is a `Suite` (`suite.py`): `check`, `describe`, `environments`, `installed`. One by
   one, `gymnasium_envs` adapts, checks and batches environments; a vector version of its own is given as it is.
2. Its name in `registry.SUITES`: the ids that begin with "name/" are then its own, and all others gymnasium's. Outside
   the package `registry.register_suite(name, suite)` does the same, in a module that a task's id begins with
   ("my_package.my_suite:name/Task-v0"), so that every process of a job imports it.
3. What it needs as an extra of setup.cfg, and one line that says so where that is missing (`packages.py`).
4. What decides its environments' future, if they can give it, in `state_capture.py`.

A package whose environments gymnasium knows once it is imported needs no suite, but a line in `packages.PACKAGES`.
"""
