"""The actor: steps its own environments, by weights from the learner, and sends transitions to the replay servers."""

import time
from contextlib import ExitStack, closing, suppress
from typing import Any

from tfdqn.acting.actor import Actor
from tfdqn.acting.actors import make_actor
from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.acting.central_inference import CentralValues
from tfdqn.acting.policy import ActionValues
from tfdqn.coordination.membership import Membership, seconds_between_calls
from tfdqn.coordination.messages import Counts, Phase
from tfdqn.coordination.weights import RemoteWeights, WeightsSource
from tfdqn.errors import PeerLostError
from tfdqn.networks.factory import weight_specs
from tfdqn.randomness import derived_seed
from tfdqn.replay.reverb.remote_writer import GivenUpError, remote_writer
from tfdqn.roles.context import RoleContext, check_same_task, convert_environment_failures
from tfdqn.system.interval import IntervalTrigger, Rate
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task

_POLL_SECONDS = 0.05
_FLUSH_SECONDS = 3.0


def run(context: RoleContext, membership: Membership) -> bool:
    """Acts while the job trains, and waits until it is over; False if the user has asked to stop before.

    Raises UserError for a mistake that the user can correct, PeerLostError if this process must be started again.
    """
    config = context.config
    membership.set_state("creating its environments")
    restarts = Restarts(config.task.restarts, context.say, print)
    with convert_environment_failures(), one_blas_thread(), closing(make_task(config.task, restarts=restarts)) as task:
        welcome = membership.join(context.interrupted)
        if welcome is None:
            return False
        check_same_task(context.process_id, welcome.task_spec, task.spec)
        task.spec = welcome.task_spec
        with ExitStack() as parts:
            _ActorLoop(context, membership, task, restarts, parts).run_until_over()
    return membership.is_over


class _ActorLoop:
    """Acts while the learner trains. `parts` closes what the loop opens."""

    def __init__(
        self, context: RoleContext, membership: Membership, task: BatchedTask, restarts: Restarts, parts: ExitStack
    ):
        self._context, self._membership, self._task, self._parts = context, membership, task, parts
        self._restarts = restarts
        self._rate = Rate()

    def run_until_over(self) -> None:
        with suppress(GivenUpError):  # training has ended while the actor was waiting
            self._act_while_it_trains()
        self._membership.set_state("done acting")
        while (phase := self._phase()) not in (Phase.OVER, None):
            if phase == Phase.TRAINING:
                raise PeerLostError(f"the learner trains again: {self._context.process_id} starts again with it")
            time.sleep(_POLL_SECONDS)

    def _act_while_it_trains(self) -> None:
        context, config = self._context, self._context.config
        self._wait_for_the_learner()
        weights, values = self._central() if config.acting.inference == "central" else self._fetched()
        addresses, index = context.topology.replay_server, context.process_id.index
        writer = remote_writer(config, self._task.spec, addresses, self._task.num_envs, index, self._keep_waiting)
        # A restarted actor must not repeat the same random numbers.
        seed = derived_seed(config.seed, self._membership.life)
        actor = make_actor(config, self._task, writer, weights, index, seed, values)
        actor.refresh_weights()
        actor.reset(derived_seed(seed, "task", index))
        self._membership.report_with(lambda: self._figures(actor))
        question = IntervalTrigger(seconds_between_calls(_POLL_SECONDS, config))
        while self._phase() == Phase.TRAINING:
            self._wait_for_the_learner()
            # Assumes that the other actors have taken as many steps as this one since the learner's last answer.
            if self._membership.env_steps(actor.env_steps, config.acting.actors) < config.stop.env_steps:
                self._membership.set_state("acting")
                if config.priorities.are_used:
                    writer.raise_largest_priority(self._membership.largest_priority)
                actor.step(self._membership.env_steps(actor.env_steps))
                continue
            # By the last answer alone, steps are left: asks the learner how many, to take a share of these as well.
            if self._membership.env_steps(actor.env_steps, 0) < config.stop.env_steps and question.is_due():
                self._membership.send_heartbeat()
                question.done()
            self._wait_because("done acting")
        writer.flush(_FLUSH_SECONDS)

    def _fetched(self) -> tuple[WeightsSource, None]:
        """(the weights, which a thread fetches from the learner; None)."""
        config = self._context.config
        interval = seconds_between_calls(config.acting.fetch_interval_seconds, config)
        wanted = weight_specs(config, self._task.spec)
        weights = self._parts.enter_context(closing(RemoteWeights(self._membership.call, interval, wanted)))
        while weights.version() < 0:
            self._wait_because("waiting for the first weights")
        return weights, None

    def _central(self) -> tuple[WeightsSource, ActionValues]:
        """(the versions of the learner's weights, the learner's computation of Q-values), for central inference."""
        values = CentralValues(self._membership.call, self._keep_waiting)
        return values, values

    def _wait_for_the_learner(self) -> None:
        """Waits until the learner has begun: one that has started again may still empty the replay servers."""
        while not self._membership.learner_has_begun:
            self._wait_because("waiting for the learner to begin")

    def _wait_because(self, reason: str) -> None:
        """Waits for a moment, with `reason` as its state. Raises GivenUpError if the learner no longer trains."""
        if not self._keep_waiting(reason):
            raise GivenUpError(reason)
        time.sleep(_POLL_SECONDS)

    def _keep_waiting(self, reason: str) -> bool:
        """Whether the learner still trains; `reason` becomes the process's state."""
        self._membership.set_state(reason)
        return self._phase() == Phase.TRAINING

    def _phase(self) -> Phase | None:
        self._membership.work.record_progress()
        return self._membership.phase_now(self._context.interrupted)

    def _figures(self, actor: Actor) -> dict[str, Any]:
        """What each heartbeat tells the learner."""
        statistics = actor.statistics
        return {
            "counts": Counts(
                env_steps=actor.env_steps, episodes=statistics.episodes, environment_restarts=self._restarts.count
            ),
            "steps_per_second": self._rate.read(time.monotonic(), actor.env_steps),
            "episode_return": statistics.recent_return,
            "episode_length": statistics.recent_length,
            "weights_version": actor.weights_version,
        }
