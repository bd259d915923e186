"""Who takes part in a job and where: roles, topology, placement, the program of its processes, TF_CONFIG.

In: the configuration and the environment's variables. Out: plain data, made before anything starts.
"""
