"""Greedy episodes: the evaluator that owns 'best', bootstrap intervals, videos."""
