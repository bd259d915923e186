"""The way out to serving: a versioned SavedModel that needs TensorFlow alone, and `load_policy` to call it."""

from tfdqn.export.from_run import export_run
from tfdqn.export.load_policy import LoadedPolicy, load_policy
from tfdqn.export.saved_model import export_policy

__all__ = ["LoadedPolicy", "export_policy", "export_run", "load_policy"]
