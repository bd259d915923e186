"""Makes TensorFlow allocate GPU memory as needed. To be imported before TensorFlow.

Otherwise the first process that uses a GPU takes all of its memory, and `evaluate` or `serve` fails while a run trains.
This is set by a variable, because `tf.config.experimental.set_memory_growth` has no effect in TensorFlow's servers or
in child processes. A value that the user has set is kept.
"""

import os

os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
