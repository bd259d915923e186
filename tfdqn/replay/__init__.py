"""Replay: finished transitions in, samples out. An agent says which kind of item it needs."""
