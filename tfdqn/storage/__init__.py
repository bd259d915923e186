"""Storage: what a run keeps on disk: its directory, locks, checkpoints, best policy and records.

Named arrays, configurations and records go in, and come back whole or not at all: a file or checkpoint gets its name
only once it is on the disk. Each has one writer and one reader. Imports `config`, `records`, `system`; no TensorFlow.

`completion` says from them when a run is over, and whether the results of a finished one are still valid.

To add a kind of file, add its path to `RunDir` (`run_directory`), and write a module here with its writer and its
reader; build on `atomic_files` for a file that is replaced as a whole, on `json_lines` for one that grows.
"""
