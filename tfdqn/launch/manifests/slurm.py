"""A job under Slurm: a batch script for a heterogeneous job, with a component and a step for each role.

Addresses are only known when the job begins: then the script asks each component for its hosts and writes the cluster
file. Since processes may share a node, each has a port of its own.
"""

from collections.abc import Iterator

from tfdqn.cluster.program import AT_ONCE_AFTER, FAILURES_IN_A_ROW, NEVER_AFTER
from tfdqn.cluster.roles import TRAITS, Role, serving
from tfdqn.cluster.topology import Topology
from tfdqn.launch.manifests.job_spec import HEADER, JobSpec, grace_seconds
from tfdqn.system.addresses import PORTS

_QUICK_FAILURE_SECONDS = 60  # a task that fails within this time counts towards being given up
_SAVING_SECONDS = 2 * grace_seconds(Role.LEARNER)  # before the time limit, at which the job is told to save


def render(spec: JobSpec) -> dict[str, str]:
    """job.sbatch, the batch script. Raises ConfigError."""
    topology = spec.program(lambda process_id: process_id.file_stem).topology
    roles = [role for role in Role if topology.count(role)]
    lines = [
        "#!/bin/bash",
        HEADER.rstrip(),
        *_components(spec, roles, topology),
        *_BEGINNING.format(name=spec.name, configuration=spec.config_toml.rstrip()).splitlines(),
        *(f"tasks[{group}]='{_tasks(spec, role, topology)}'" for group, role in enumerate(roles)),
        *_STEP.splitlines(),
        *_cluster(roles, topology),
        *_PLAY.format(
            never="|".join(map(str, NEVER_AFTER)),
            at_once="|".join(map(str, AT_ONCE_AFTER)),
            failures=FAILURES_IN_A_ROW,
            quick=_QUICK_FAILURE_SECONDS,
        ).splitlines(),
        "steps=()",
        *(f"step {group} --kill-on-bad-exit=1 bash -c 'play {role}' & steps+=($!)" for group, role in enumerate(roles)),
        *_END.splitlines(),
    ]
    return {"job.sbatch": "\n".join(lines) + "\n"}


def _components(spec: JobSpec, roles: list[Role], topology: Topology) -> Iterator[str]:
    """The lines with options for sbatch, where a comment needs a line of its own."""
    yield f"#SBATCH --job-name={spec.name}"
    yield "# A signal before the time limit, so that the job can save."
    yield f"#SBATCH --signal=B:USR1@{_SAVING_SECONDS}"
    for group, role in enumerate(roles):
        if group:
            yield "#SBATCH hetjob"
        cpus, gib = TRAITS[role].resources
        yield f"# {role}"
        yield f"#SBATCH {_tasks(spec, role, topology)} --mem-per-cpu={gib * 1024 // cpus}M"


def _tasks(spec: JobSpec, role: Role, topology: Topology) -> str:
    """The options for a component's tasks, which Slurm needs for each of its steps again."""
    gpus = f" --gpus-per-task={spec.gpus_of(role)}" if spec.gpus_of(role) else ""
    return f"--ntasks={topology.count(role)} --cpus-per-task={TRAITS[role].resources.cpus}{gpus}"


def _cluster(roles: list[Role], topology: Topology) -> Iterator[str]:
    """The lines that write the cluster file, by the components' hosts."""
    servers = [role for role in serving(but=Role.LEARNER) if role in roles]
    used = 2 + sum(topology.count(role) for role in servers)  # the learner's two come first
    slots = len(PORTS) // used
    yield "# By the job's number, so that jobs that share a node rarely have the same ports."
    yield f"port=$(({PORTS.start} + SLURM_JOB_ID % {slots} * {used}))"
    yield "{"
    learner = f"addresses {roles.index(Role.LEARNER)}"
    yield f"""  printf '{{"learner": %s' "$({learner} "$port")\""""
    if topology.chief:
        yield f"""  printf ', "chief": %s' "$({learner} $((port + 1)))\""""
    offset = 2
    for role in servers:
        yield f"""  printf ', "{role}": %s' "$(addresses {roles.index(role)} $((port + {offset})))\""""
        offset += topology.count(role)
    yield f"""  printf ', "actor": {topology.actor}, "evaluator": {topology.evaluator}}}\\n'"""
    yield '} >"$job_dir/cluster.json"'


_BEGINNING = """
set -euo pipefail

# RUN_DIR and the folders beside it must be on a file system that all nodes share.
export run_dir=${{RUN_DIR:-$SLURM_SUBMIT_DIR/runs/{name}}}
export job_dir=$run_dir-job-$SLURM_JOB_ID
export TFDQN_BEATS=$job_dir/beats # the heartbeats, named by role and index
unset TF_CONFIG
mkdir -p "$job_dir"
cat >"$job_dir/config.toml" <<'END_OF_CONFIGURATION'
{configuration}
END_OF_CONFIGURATION

# Of each component, for its steps: by the same options they put the same tasks on the same nodes.
declare -a tasks
"""

_STEP = """
# step GROUP OPTION...: runs a step in a component.
step() {
  local group=$1
  shift
  # One string holds several options.
  # shellcheck disable=SC2086
  srun --het-group="$group" ${tasks[$group]} "$@"
}

# addresses GROUP PORT: the addresses of a component's tasks as a JSON list, with ports from PORT upwards.
addresses() {
  step "$1" --label hostname | sort -n |
    awk -v port="$2" '{ printf "%s\\"%s:%d\\"", (NR > 1 ? ", " : "["), $2, port + NR - 1 } END { print "]" }'
}

"""

_PLAY = """
# play ROLE: runs one task's process, and starts it again as its exit status says.
play() {{
  local status began failures=0 stopped=
  trap 'stopped=yes' TERM # Slurm signals every process of a step, so tfdqn gets it as well
  while true; do
    began=$SECONDS status=0
    tfdqn run "$1" "$job_dir/config.toml" --index "$SLURM_PROCID" \\
      --cluster "$job_dir/cluster.json" --run-dir "$run_dir" || status=$?
    [[ -z $stopped ]] || return "$status"
    case $status in
      {never}) return "$status" ;;
      {at_once}) failures=0 ;;
      *)
        failures=$((SECONDS - began < {quick} ? failures + 1 : 1))
        ((failures < {failures})) || return "$status"
        sleep 1
        ;;
    esac
  done
}}
export -f play
"""

_END = """
# `scancel` signals all steps, and may signal this script as well; the steps are not signalled a second time.
is_stopping=
stop() { is_stopping=yes told=yes; scancel --signal=TERM "$SLURM_JOB_ID"; }
trap stop USR1
trap 'is_stopping=yes told=yes' TERM
left=${#steps[@]} result=0
while ((left > 0)); do
  status=0 told=
  wait -n || status=$?
  [[ -z $told ]] || continue
  left=$((left - 1))
  if ((status != 0)) && [[ -z $is_stopping ]]; then
    result=$status
    stop # a role was given up, which ends the job
  fi
done
exit "$result"
"""
