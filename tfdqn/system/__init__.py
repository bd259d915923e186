"""The operating system: addresses, signals, processes, native output, connections, names in UTF-8.

Knows nothing of training, and imports no TensorFlow.
"""
