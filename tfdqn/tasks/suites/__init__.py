"""Suites: the sources of environments, one file for each.

In: the section `task` of the configuration. Out: a `TaskSpec`, and environments with gymnasium's vector interface,
which `BatchedTask` steps. A suite imports the storeys below `tasks`, the adapters and the contract.

To add one (`atari` and `envpool` are examples):
1. A file here with a class that is a `Suite` (`suite.py`): `check`, `describe`, `environments`, `installed`.
   `suite.describe` makes a `TaskSpec` of a task's spaces. Single environments are adapted, checked and batched by
   `gymnasium_envs`; a vectorised version is used as it is, inside `VectorMasks` if it gives masks.
2. Its name in `registry.SUITES`: it then has the ids that begin with "name/", and tasks with `task.suite = "name"`.
   Outside the package, `registry.register_suite(name, suite)` does the same, in a module that is named before the colon
   of a task's id ("my_package.my_suite:name/Task-v0"), so that every process of a job imports it.
3. Its packages as an extra of setup.cfg, their tested versions in constraints.txt, and an error with `install_extra`
   where they are missing. Its tests are marked `tasks` if that extra is not among those of `dev`.
4. The state of its environments, if they can give it, in `state_capture.py`.
5. A row in docs/tasks.md.

A package that registers its environments with gymnasium when it is imported needs no suite, only a line in
`packages.PACKAGES` with its extra; `packages.register` imports it and keeps its banner off the terminal.
"""
