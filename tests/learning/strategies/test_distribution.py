"""That a process in which TensorFlow has computed is not connected to others: it would fail in them, or hang."""

import pytest
import tensorflow as tf

from tfdqn.cluster.tf_config import Cluster
from tfdqn.errors import ConfigError
from tfdqn.learning.strategies import distribution


@pytest.mark.parametrize("connect", [distribution.multi_worker, distribution.parameter_server])
def test_a_process_that_has_computed_before_connects_to_no_other(connect) -> None:
    tf.zeros(1)
    jobs = {"chief": ("127.0.0.1:1",), "worker": ("127.0.0.1:2",), "ps": ("127.0.0.1:3",)}
    with pytest.raises(ConfigError, match=r"^TensorFlow has computed in this process before"):
        connect(Cluster(jobs=jobs, job="chief", index=0))
