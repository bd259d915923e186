"""What a run keeps on disk: directory, locks, checkpoints, best policy and records; each has one writer and one reader.

Named arrays, configurations and records go in, and come back whole or not at all: a file or checkpoint gets its name
only once it is on the disk. It imports `config`, `records`, `system`, and no TensorFlow.

The next kind of file: its path in `RunDir` (`run_directory`), and a module here with its writer and its reader, on
`atomic_files` for what is replaced as a whole, on `json_lines` for what grows.
"""
