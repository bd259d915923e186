"""One machine's server of an exported policy: TensorFlow Serving's REST paths and KServe's; needs no TF-Agents.

A request flows through `tls` and `limits` (connections, bytes), `app` (key and path), `endpoints`, `payload` and
`inputs` (JSON → arrays), `batching` (with others that wait) into `model`; `model_versions` says which version that is.
`open_inference` stands in place of `payload` where the JSON is KServe's.
`openapi` describes all that; `monitoring` answers those who watch, with `metrics`. `options` and `access` are what the
command line says. It imports `exporting`, and no training.

The next path is a method of `Endpoints` or `Monitor` and a route in `app`; the next metric a family in `Monitor`,
its name in docs/serving.md; the next check of what a client sends belongs to `exporting.policy_inputs`,
where `load_policy` has it too.
"""
