"""`tfdqn tasks --check`: finds out whether a task can be trained on.

In: the section `task` of the configuration. Out: a `TaskCheck`, whose findings `tfdqn.cli.task_check_view` shows. The
task is made, reset and stepped by `registry.make_task`, as in training.

    check_process (a forked process) → check → random_play (the steps, and what adapters leave out), findings (lines of
    the table), images (those that networks would misread), suggestions (keys that suit the task)

To add a finding: a line in `findings`, and what it needs of a play in `random_play`; a suggested key in `suggestions`.
"""
