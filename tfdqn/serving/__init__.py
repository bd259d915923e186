"""One machine's server of an exported policy: TensorFlow Serving's REST paths and JSON; needs no TF-Agents."""
