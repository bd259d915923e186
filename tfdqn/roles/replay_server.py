"""A replay server: keeps a part of the transitions for all others, and comes back with them when it was killed."""

import time
from contextlib import closing

from tfdqn.coordination.membership import LearnerRestartedError, Membership
from tfdqn.coordination.messages import Phase
from tfdqn.errors import CheckpointError
from tfdqn.replay.reverb.shard_server import ShardServer
from tfdqn.roles.context import Job
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.addresses import require_free_port
from tfdqn.system.native_stderr import native_output_to

_WATCH_SECONDS = 0.25


def run(job: Job, membership: Membership) -> bool:
    """Serves until the job is over, or False: until the user has said stop; then with a checkpoint.

    It needs the learner only where it has never heard of the task. Raises UserError for what a user can mend.
    """
    address = job.topology.address(job.process_id)
    require_free_port(address)  # before it waits for the learner, which may be long
    folder = ShardDir(RunDir(job.run_dir).replay / str(job.process_id.index))
    with folder.claim():
        for damage in folder.open(job.config):
            job.say(f"warning: {job.process_id}: {damage}")
        with native_output_to(folder.native_log):
            task_spec = folder.task_spec()
            if task_spec is None:
                welcome = membership.join(job.interrupted)
                if welcome is None:
                    return False
                task_spec = welcome.task_spec
                folder.keep(task_spec)
            membership.set_state("restoring")
            with closing(ShardServer(job.config, task_spec, address, folder)) as shard:
                _say_how_it_starts(job, address, shard)
                return _serve(job, membership, shard)


def _serve(job: Job, membership: Membership, shard: ShardServer) -> bool:
    has_joined = is_over = False
    try:
        while not job.interrupted() and not is_over:
            membership.work.record_progress()
            if not has_joined:
                has_joined = membership.join(job.interrupted) is not None
                continue
            membership.set_state(f"serving {shard.size():,} transitions")
            try:
                is_over = membership.phase() == Phase.OVER
            except LearnerRestartedError:
                has_joined = False
            time.sleep(_WATCH_SECONDS)
    finally:
        if not is_over:
            _save(job, membership, shard)
    return is_over


def _save(job: Job, membership: Membership, shard: ShardServer) -> None:
    membership.set_state("writing its checkpoint")
    try:
        with membership.work.suspended():
            shard.checkpoint()
        job.say(f"{job.process_id}: saved {shard.size():,} transitions")
    except CheckpointError as error:
        job.say(f"warning: {job.process_id}: {error}")


def _say_how_it_starts(job: Job, address: str, shard: ShardServer) -> None:
    if shard.damage:
        job.say(f"warning: {job.process_id}: {shard.damage}")
    size = shard.size()
    job.say(
        f"{job.process_id}: restored {size:,} transitions, serving them at {address}"
        if size
        else f"{job.process_id}: starts empty, serving at {address}"
    )
