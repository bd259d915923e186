"""What a run keeps on disk: directory, locks, checkpoints, best policy and records; each has one writer and one reader.

Arrays by name, configurations and records flow in, and come back whole or not at all: a file or a checkpoint takes its
name when it is on the disk. It imports `config`, `records`, `system`, and no TensorFlow.

The next kind of file: its path in `RunDir` (`run_directory`), and a module here with its writer and its reader, on
`atomic_files` for what is replaced as a whole, on `json_lines` for what grows.
"""
