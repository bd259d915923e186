"""The replay server: keeps a part of the transitions for all other processes, and restores them after a restart."""

import time
from contextlib import closing

from tfdqn.coordination.membership import LearnerRestartedError, Membership
from tfdqn.coordination.messages import Phase
from tfdqn.errors import CheckpointError
from tfdqn.replay.reverb.shard_server import ShardServer
from tfdqn.roles.context import RoleContext
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.addresses import require_free_port
from tfdqn.system.output import native_output_to

_WATCH_SECONDS = 0.25


def run(context: RoleContext, membership: Membership) -> bool:
    """Serves until the job is over; False if the user has asked to stop before, after a checkpoint.

    It begins to serve without the learner, unless it is new and does not know the task's specification yet.

    Raises UserError for a mistake that the user can correct.
    """
    address = context.topology.address(context.process_id)
    require_free_port(address)  # before a wait for the learner, which may be long
    folder = ShardDir(RunDir(context.run_dir).replay / str(context.process_id.index))
    with folder.claim():
        for damage in folder.open(context.config):
            context.say(f"warning: {context.process_id}: {damage}")
        with native_output_to(folder.native_log):
            task_spec = folder.task_spec()
            if task_spec is None:
                welcome = membership.join(context.interrupted)
                if welcome is None:
                    return False
                task_spec = welcome.task_spec
                folder.write_task_spec(task_spec)
            membership.set_state("starting to serve" if folder.checkpoint() is None else "restoring")
            with closing(ShardServer(context.config, task_spec, address, folder)) as shard:
                _say_how_it_starts(context, address, shard)
                return _serve(context, membership, shard, folder)


def _serve(context: RoleContext, membership: Membership, shard: ShardServer, folder: ShardDir) -> bool:
    """Waits while Reverb's threads serve; returns whether the job is over. Saves if it isn't."""
    has_joined = is_over = False
    try:
        while not context.interrupted() and not is_over:
            membership.work.record_progress()
            if not has_joined:
                has_joined = membership.join(context.interrupted) is not None
                continue
            membership.set_state(f"serving {shard.size():,} transitions")
            try:
                is_over = membership.phase() == Phase.OVER
            except LearnerRestartedError:
                has_joined = False
            time.sleep(_WATCH_SECONDS)
    finally:
        # An empty checkpoint would only keep the directory for this configuration.
        if not is_over and (shard.size() or folder.checkpoint() is not None):
            _save(context, membership, shard)
    return is_over


def _save(context: RoleContext, membership: Membership, shard: ShardServer) -> None:
    membership.set_state("writing its checkpoint")
    try:
        with membership.work.suspended():
            shard.checkpoint()
        context.say(f"{context.process_id}: saved {shard.size():,} transitions")
    except CheckpointError as error:
        context.say(f"warning: {context.process_id}: {error}")


def _say_how_it_starts(context: RoleContext, address: str, shard: ShardServer) -> None:
    """Tells the user what was restored."""
    if shard.damage:
        context.say(f"warning: {context.process_id}: {shard.damage}")
    size = shard.size()
    context.say(
        f"{context.process_id}: restored {size:,} transitions, serving them at {address}"
        if size
        else f"{context.process_id}: starts empty, serving at {address}"
    )
