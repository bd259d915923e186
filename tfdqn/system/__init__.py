"""The operating system: addresses, signals, subprocesses, forks, native output, connections, UTF-8, intervals.

Takes and returns plain Python values. Knows nothing of training or jobs; imports only `errors` and the standard
library, never TensorFlow. To add another facility, write a file here, and a test that makes the system behave so.
"""
