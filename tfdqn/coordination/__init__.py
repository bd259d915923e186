"""Processes that talk: calls, messages, membership, heartbeats, the learner's service, weights.

Imports no TensorFlow.
"""
