"""Replay in Reverb servers: in this process, or in others."""
