"""An HTTP server of an exported policy, with TensorFlow Serving's REST paths and KServe's; it needs no TF-Agents.

A request flows through `limits` (connections, bytes), `app` (key and path), `endpoints`, `payload` and `inputs` (JSON →
arrays) and `batching` (with other waiting requests) into `model`, one of the served versions. `open_inference` takes
the place of `payload` for KServe's JSON. `openapi` describes all of this; `monitoring` answers health checks and
Prometheus; `ending` closes connections, of slow clients and at the end. `options` and `access` hold the command line's
options. It imports `exporting`, and no training.

To add a path, write a method of `Endpoints` or `Monitor` and a route in `app`. To add a metric, register it in
`Monitor` and name it in docs/serving.md. A check of what clients send belongs to `exporting.policy_inputs`, so that
`load_policy` makes it too.
"""
