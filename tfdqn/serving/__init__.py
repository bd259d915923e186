"""One machine's server of an exported policy: TensorFlow Serving's REST paths and JSON; needs no TF-Agents.

A request flows through `limits` (connections, bytes), `app` (its path), `payload` and `inputs` (JSON → arrays),
`batching` (with others that wait) into `model`; `model_versions` says which version that is. It
imports `exporting`, and no training.

The next path is a route in `app.make_app`; the next check of what a client sends belongs to `exporting.policy_inputs`,
where `load_policy` has it too.
"""
