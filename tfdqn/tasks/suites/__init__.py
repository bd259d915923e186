"""Where tasks come from: one file per source of environments.

A suite gives the registry a batched environment with gymnasium's vector interface.
"""
