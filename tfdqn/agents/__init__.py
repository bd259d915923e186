"""Agents: loss and networks → TF-Agents agent. They give loss and policy; `learning/` owns the update."""
