"""Fields: tasks whose ids begin with "tfdqn/": energy, trading, scheduling.

Where a kept package has an environment that its id alone can't make, a function here makes it (`stocks`, `job_shop`);
where none has one, it is here, small (`battery`, `american_put`, `inventory`).

In flow a task's keyword arguments, from `task.kwargs`; out flow gymnasium environments. They import what every storey
speaks of (errors), `system`, gymnasium and NumPy, and nothing of the rest of `tasks`, which takes them as it takes
anyone's.

To add one (`battery` is an example):
1. A file here with a `gymnasium.Env`: its equations and units in the docstring, what is wrong with an argument as a
   TaskError, all that is drawn from `np_random`; `get_state` and `set_state`, so that a resumed run repeats.
2. Its id in `registration.ENTRY_POINTS`.
3. A test against numbers worked out by hand; a configuration in `configs/fields/`; in `examples/fields/` what a
   practitioner would do instead, and a comparison with it; a page in `docs/fields/`.
"""
