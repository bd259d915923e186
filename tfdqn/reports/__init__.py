"""Reports: what runs have left, as pictures and tables.

Run directories flow in, by `storage.run_records` and `storage.json_lines`; files flow out. It imports config and
storage, and its drawing library only while it draws, for the command line imports it. The next report is one file here.
"""
