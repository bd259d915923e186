"""Losses: one file per paper, pure functions of batch and Q-values."""
