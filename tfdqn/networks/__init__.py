"""Q-networks: configuration and task → TF-Agents network, and the same function in NumPy for acting.

The next torso is a short function in `torsos.py`, written once over a layer factory of `layers/`, and a struct in
`config/network.py`.
"""
