"""Measurements, each one command with JSON out: `python -m benchmarks.updates`, and so on (see README.md there)."""

import tfdqn as tfdqn  # quiets TensorFlow before a benchmark imports it
