"""Reports: what runs have left, as pictures and tables.

Run directories flow in, by `storage.run_records` and `storage.json_lines`; files flow out. `statistics` turns the
scores of many runs into numbers. It imports config, storage and `evaluation.bootstrap`, which resamples, and its
drawing library only while it draws, for the command line imports it. The next report is one file here.
"""
