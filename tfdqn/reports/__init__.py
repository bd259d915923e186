"""Reports: what runs have left, as pictures and tables.

Run directories flow in, by `storage.run_records` and `storage.json_lines`; files flow out. `learning_curves` draws runs
as they stand. `finished_runs` reads those that have finished, `groups` puts them together by their configurations;
`group_table`, `pictures`, `page` and `tidy_rows` show a report, and `comparison` sets two groups against one another.
`statistics` has the numbers; `html` makes documents, those of a search too. It imports config, storage and
`evaluation.bootstrap`, which resamples, and its drawing library only while it draws, for the command line imports it.

The next statistic is a function in `statistics` and a field of `group_table.GroupStatistics`; the next picture a
function in `pictures` and a line in its table.
"""
