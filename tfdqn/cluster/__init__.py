"""The processes of a job and their places: roles, topology, placement, programs, and `TF_CONFIG`.

In: the configuration, a cluster file, `TF_CONFIG` or `CLUSTER_SPEC`. Out: plain data, made before anything starts;
nothing here imports TensorFlow. It uses `config`, `system` and `storage`.

To add a role: a row in `roles.TRAITS`, which topology, program, supervisor, manifests and probes read; a field of
`topology.Topology`, with its processes' addresses or their number; and `roles/NAME.py`, with its `run(job)`. A test
goes through the table and says what is missing. To add a strategy that learns in several processes: a case of
`tf_config.tensorflow_jobs`. To read another platform's variable: a function in `environment`.
"""
