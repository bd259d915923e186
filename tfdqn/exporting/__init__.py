"""The way out to serving: a versioned SavedModel that needs TensorFlow alone, and `load_policy` to call it."""

from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.loaded_policy import LoadedPolicy, load_policy
from tfdqn.exporting.saved_model import export_policy

__all__ = ["LoadedPolicy", "export_policy", "export_run", "load_policy"]
