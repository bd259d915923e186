"""Exporting: a run's weights → numbered versions of its policy, and `load_policy` to call one.

A version is a folder with a SavedModel that needs TensorFlow alone, a model card, warm-up requests for TensorFlow
Serving, and the same policy in other formats.

It imports `networks` and `storage`. No module here imports TF-Agents itself, so that `load_policy` works without it.
The modules that the command line uses (`formats`, `versions`, `tf_serving_files`, `policy_inputs`) import TensorFlow
inside the functions that need it.

The next format is added in `formats`, the next place to export to in `destinations`.
"""
