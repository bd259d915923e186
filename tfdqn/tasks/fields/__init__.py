"""Fields: tfdqn's own tasks in energy, trading and scheduling, whose ids begin with "tfdqn/".

If a maintained package has the environment but no id that makes it, a function here makes it (`stocks`, `job_shop`);
otherwise the environment itself is here (`battery`, `american_put`, `inventory`).

In: a task's keyword arguments, from `task.kwargs`. Out: gymnasium environments. They import errors, `system`, gymnasium
and NumPy, and nothing of the rest of `tasks`, which treats them like any other package's.

To add one (`battery` is an example):
1. A file here with a `gymnasium.Env`: its equations and units in the docstring; a TaskError for a wrong argument; all
   random numbers from `np_random`; `get_state` and `set_state`, so that a resumed run repeats.
2. Its id in `registration.ENTRY_POINTS`.
3. A test against numbers worked out by hand; a configuration in `configs/fields/`; in `examples/fields/` a comparison
   with what a practitioner would do instead; a page in `docs/fields/`.
"""
