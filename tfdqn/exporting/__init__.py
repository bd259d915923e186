"""The way out to serving: a run's weights → a numbered version of a policy, and `load_policy` to call one.

A version is a SavedModel that needs TensorFlow alone, its files for other formats and for TensorFlow Serving beside it,
and a model card. It imports networks and storage; nothing here imports TF-Agents, and where a module is used by the
command line (`formats`, `versions`, `tf_serving_files`, `policy_inputs`) it imports TensorFlow only to do its work.
The next format is added in `formats`, the next place to export to in `destinations`.
"""
