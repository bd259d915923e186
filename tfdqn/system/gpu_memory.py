"""Has TensorFlow take a GPU's memory as it needs it, in every process; imported before TensorFlow is.

Else the first process that sees a GPU takes all of its memory, and `evaluate` or `serve` beside a training fails. By a
variable, since TensorFlow heeds it in its servers and in this process's children, too, where
`tf.config.experimental.set_memory_growth` is not heard. It is left as it is where the user sets it.
"""

import os

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
