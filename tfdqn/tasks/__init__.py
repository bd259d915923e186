"""Tasks: batches of environments; the only folder that imports environment packages.

In: the section `task` of the configuration. Out, by `registry.make_task`: a `BatchedTask` with its `TaskSpec`, which
gives a `types.Step` of fresh arrays at every step, checked against the spaces that the task declares.

    suites/ (sources of environments) → adapters/, checked_env (one environment, as training needs it)
    → batched_task, with contract (E of them: reset, step, state, render) → acting, or checking/ (`tasks --check`)

It imports `config`, `system`, `storage.arrays` and the modules that all storeys share (errors, types, task_spec,
randomness).

To add a source of environments: a file in `suites/`; an adaptation: a file in `adapters/`; a kind of observation: a
case in `observations.py`, and one in `contract.py` for its checks; a class whose state can be saved: a line in
`state_capture.py`.
"""
