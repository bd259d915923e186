"""Suites: where environments come from, one file for each source.

In flows the section `task` of the configuration; out flow a `TaskSpec` and environments with gymnasium's vector
interface, which `BatchedTask` steps. A suite imports what lies below `tasks`, the adapters and the contract.

To add one (`atari` and `envpool` are examples):
1. A file here with a class that is a `Suite` (`suite.py`): `check`, `describe`, `environments`, `installed`. What a
   task looks like, `description.describe` makes of its spaces. One by one, `gymnasium_envs` adapts, checks and batches
   environments; a vector version of its own is given as it is, in `VectorMasks` where it gives masks.
2. Its name in `registry.SUITES`: the ids that begin with "name/" are then its own, and those with `task.suite =
   "name"`; all others are gymnasium's. Outside the package `registry.register_suite(name, suite)` does the same, in a
   module that a task's id begins with ("my_package.my_suite:name/Task-v0"), so that every process of a job imports it.
3. What it needs as an extra of setup.cfg, its tested versions in constraints.txt, and where it is missing one line with
   `install_extra`. Its tests are marked `tasks` where the extra is not among those of `dev`.
4. What decides its environments' future, if they can give it, in `state_capture.py`.
5. A row in docs/tasks.md.

A package whose environments gymnasium knows once it is imported needs no suite, but a line in `packages.PACKAGES`, with
its extra; it is imported by `packages.register`, which keeps its banner from the terminal.
"""
