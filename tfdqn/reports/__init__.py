"""What is made of runs that are over: learning curves."""
