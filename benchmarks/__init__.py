"""Measurements, each one command with JSON out: `python -m benchmarks.updates`, and so on (see README.md there)."""
