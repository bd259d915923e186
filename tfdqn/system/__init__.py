"""The operating system: addresses, signals, subprocesses, native output, connections, UTF-8, intervals.

What flows in and out is plain Python. Knows nothing of training or jobs, and imports `errors` and the standard library,
never TensorFlow. What else is needed of the system gets a file here, and a test that makes the system behave so.
"""
