"""Training: one run's parts, its loops, what happens at intervals, when it ends, and what it leaves."""
