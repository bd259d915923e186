"""Reports: pictures, tables and pages of runs.

In: run directories, read by `storage.run_records` and `storage.json_lines`. Out: files, and tables as text.

- `learning_curves` draws runs, finished or not.
- `finished_runs` reads finished runs, and `groups` groups them by their configurations.
- `group_table`, `pictures`, `page` and `tidy_rows` show the groups; `comparison` compares two of them.
- `statistics` computes the numbers; `html` makes documents, also those of a search.
- `failures` makes warnings of what fails in them, where they come after what matters more.

It imports config and storage. The command line imports it, so it imports Matplotlib only to draw.

The next statistic is a function in `statistics` and a field of `group_table.GroupStatistics`; the next picture a
function in `pictures` and a line of its function `pictures`.
"""
