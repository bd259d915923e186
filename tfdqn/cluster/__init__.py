"""Who takes part in a job and where: roles, topology, placement, programs, and what TensorFlow is told of them.

In: the configuration, a cluster file, `TF_CONFIG` or `CLUSTER_SPEC`. Out: plain data, made before anything starts;
nothing here imports TensorFlow. It uses `config`, `system` and `storage`.

Another role: a row in `roles.TRAITS`, which topology, program, supervisor, manifests and probes read; a field of
`topology.Topology`, which says where its processes are or how many; and `roles/NAME.py`, whose `run(job)` plays it. A
test walks the table and says what is missing. Another strategy that learns in several processes: a case of
`tf_config.tensorflow_jobs`. Another platform's variable: a function in `environment`.
"""
