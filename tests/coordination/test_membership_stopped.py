"""A process that is stopped for a while and goes on hears nothing meanwhile, which is not the learner's silence."""

from contextlib import closing
from types import SimpleNamespace

import pytest

from tests.support.threaded_jobs import Learner, membership
from tfdqn.config import Config
from tfdqn.coordination.messages import Phase
from tfdqn.errors import PeerLostError

pytestmark = pytest.mark.usefixtures("beats")


def test_time_in_which_a_process_was_stopped_is_no_silence_of_the_learner(
    there: Learner, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all processes of a job are, by `docker pause`; here only the clock goes on."""
    now = [100.0]
    monkeypatch.setattr("tfdqn.system.interval.time", SimpleNamespace(monotonic=lambda: now[0]))
    with closing(membership(there.address, config)) as one:
        one.join()
        there.service.close()
        now[0] += 2 * config.health.patience_seconds
        assert one.phase() == Phase.TRAINING
        with pytest.raises(PeerLostError, match=r"learner 0 .* has been silent for"):
            for _ in range(1000):
                now[0] += 1.0
                one.phase()
