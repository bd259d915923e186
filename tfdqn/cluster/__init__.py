"""The processes of a job: their roles, addresses and machines, their commands, and `TF_CONFIG`.

In: the configuration, a cluster file, `TF_CONFIG` or `CLUSTER_SPEC`. Out: plain data, made before anything starts.
Imports `config`, `system` and `storage`, and no TensorFlow.

To add a role, add a row to `roles.TRAITS`, which topology, program, supervisor, manifests and probes read; a field to
`topology.Topology`, with the addresses of its processes or their number; and `roles/NAME.py` with its `run(job)`. A
test goes through the table and names what is missing. To add a strategy that learns in several processes, add a case to
`tf_config.tensorflow_jobs`. To read another platform's variable, add a function to `environment`.
"""
