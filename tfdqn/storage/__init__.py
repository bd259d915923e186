"""What a run keeps on disk: its directory, locks, atomic files, checkpoints, the best policy, its records.

One writer and one reader for each. The next kind of file gets a module with both.
"""
