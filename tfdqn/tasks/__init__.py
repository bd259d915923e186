"""Tasks: environments, batched; the only folder that imports environment packages.

The section `task` of the configuration flows in, and by `registry.make_task` a `BatchedTask` flows out: its `TaskSpec`,
and at every step a `types.Step` of fresh arrays that were checked against what the task promised.

    suites/ (where environments come from) → adapters/, checked_env (one environment, as training needs it)
    → batched_task, with contract (E of them: reset, step, state, render) → acting, or checking/ (`tasks --check`)

It imports what every storey speaks of (errors, types, task_spec, randomness), `config` and `system`.
What is added here: a source of environments in `suites/`, an adaptation in `adapters/`; a kind of observation is a case
in `observations.py` and what is checked of it a case in `contract.py`; classes whose state can be saved are a line in
`state_capture.py`.
"""
