"""Whether a task can be trained on, before an hour is lost: `tfdqn tasks --check`.

The section `task` flows in; a `TaskCheck` flows out, of findings that `tfdqn.cli.task_check_view` shows. The task is
made, reset and stepped as training does it, through `registry.make_task`, so that what is found is what training meets.

    check → random_play (the steps), info_keys (what adapters leave out), suggestions (keys that suit what was seen)

To add a finding: a line in `check`, or what `random_play` must keep for it; a key that it suggests in `suggestions`.
"""
