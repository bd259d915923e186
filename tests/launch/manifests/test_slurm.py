"""Slurm's batch script, run as it stands, with stand-ins for Slurm's commands and for `tfdqn`."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.rendered_manifests import EVERYBODY, member_of, rendered, topology_in
from tests.support.waiting import until
from tfdqn.cluster.roles import Role
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.system.addresses import host_and_port

# Plays each task of a component here; says of each that it has a node to itself, the last one first.
SRUN = """#!/bin/bash
group=${1#--het-group=} && shift
echo "$group $*" >>"$STAND_INS/srun"
tasks=${1#--ntasks=} && shift
while [[ $1 == --cpus-per-task=* || $1 == --kill-on-bad-exit=1 ]]; do shift; done
if [[ $* == "--label hostname" ]]; then
  for ((i = tasks - 1; i >= 0; i--)); do echo "$i: node-$group-$i"; done
  exit
fi
pids=()
for ((i = 0; i < tasks; i++)); do SLURM_PROCID=$i "$@" & pids+=($!); done
worst=0
for pid in "${pids[@]}"; do wait "$pid" || worst=$?; done
exit $worst
"""
# Ends as ENDS says of its role and index, one status for each life, then with 0; "stop" waits until it is told to.
TFDQN = """#!/bin/bash
name=$2-$5
printf '%q ' tfdqn "$@" >>"$STAND_INS/tfdqn.$name" && echo >>"$STAND_INS/tfdqn.$name"
echo "${TFDQN_BEATS-}" >"$STAND_INS/beats.$name"
life=$(wc -l <"$STAND_INS/tfdqn.$name")
while read -r who statuses; do
  [[ $who == "$name" || $who == all ]] && end=$(cut -d' ' -f"$life" <<<"$statuses ")
done <<<"$ENDS"
if [[ ${end:-0} == stop ]]; then
  touch "$STAND_INS/waits.$name"
  until [[ -e $STAND_INS/stop ]]; do sleep 0.05; done
  exit 0
fi
exit "${end:-0}"
"""
SCANCEL = """#!/bin/bash
echo "$*" >>"$STAND_INS/scancel"
touch "$STAND_INS/stop"
"""


class Batch:
    """One run of the script."""

    def __init__(self, folder: Path, ends: str = ""):
        self.folder, self.stand_ins = folder, folder / "stand-ins"
        self.stand_ins.mkdir()
        for name, text in (("srun", SRUN), ("tfdqn", TFDQN), ("scancel", SCANCEL), ("sleep", "#!/bin/bash\n")):
            if name == "sleep":  # a crash's pause
                text += '[[ $1 == 1 ]] || exec /bin/sleep "$@"\n'
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.script = rendered(Platform.SLURM)["job.sbatch"]
        (folder / "job.sbatch").write_text(self.script)
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "4711",
            "SLURM_SUBMIT_DIR": str(folder),
            "TF_CONFIG": "another job's",
            "STAND_INS": str(self.stand_ins),
            "ENDS": ends,
        }
        self.process = subprocess.Popen(
            ["bash", str(folder / "job.sbatch")], env=environment, stderr=subprocess.PIPE, text=True
        )
        self.run_dir = folder / "runs" / "cartpole-parameter-server"
        self.job_dir = folder / "runs" / "cartpole-parameter-server-job-4711"

    def ended(self) -> int:
        try:
            _, errors = self.process.communicate(timeout=240)
        finally:
            (self.stand_ins / "stop").touch()  # whatever happens, nobody waits on
        assert errors == ""
        return self.process.returncode

    def lives(self, name: str) -> int:
        return len((self.stand_ins / f"tfdqn.{name}").read_text().splitlines())

    def commands(self) -> list[list[str]]:
        files = sorted(self.stand_ins.glob("tfdqn.*"))
        return [shlex.split(line) for file in files for line in file.read_text().splitlines()]

    @property
    def was_cancelled(self) -> bool:
        return (self.stand_ins / "scancel").exists()


def test_bash_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "job").write_text(rendered(Platform.SLURM)["job.sbatch"])
    subprocess.run(["bash", "-n", tmp_path / "job"], check=True)


def test_it_names_no_folder_that_another_user_may_have_made() -> None:
    assert "/tmp" not in rendered(Platform.SLURM)["job.sbatch"]


def test_each_job_has_its_heartbeats_in_a_folder_of_its_own(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    assert batch.ended() == 0
    folders = {file.read_text() for file in batch.stand_ins.glob("beats.*")}
    assert folders == {f"{batch.job_dir}/beats\n"}


def test_each_role_has_a_component_and_each_process_a_task_and_an_address_of_its_own(tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    assert batch.ended() == 0
    config, cluster = batch.job_dir / "config.toml", batch.job_dir / "cluster.json"
    read = tmp_path / "read"
    read.mkdir()
    process_ids = [
        member_of(
            *(command, config.read_text(), cluster.read_text(), read), [str(config), str(cluster), str(batch.run_dir)]
        )
        for command in batch.commands()
    ]
    assert len(process_ids) == len(EVERYBODY)
    assert set(process_ids) == EVERYBODY
    steps = [line for line in (batch.stand_ins / "srun").read_text().splitlines() if "play" in line]
    roles = {int(line.split()[0]): line.split()[-1] for line in steps}
    assert list(roles) and set(roles.values()) == set(Role)
    topology = topology_in(read)
    group = {role: number for number, role in roles.items()}
    first = host_and_port(topology.learner)[1]
    assert topology.learner.startswith(f"node-{group['learner']}-0:")
    assert topology.chief == f"node-{group['learner']}-0:{first + 1}"
    assert topology.worker == tuple(f"node-{group['worker']}-{i - 5}:{first + i}" for i in (5, 6))
    assert topology.replay_server == tuple(f"node-{group['replay_server']}-{i - 2}:{first + i}" for i in (2, 3))
    assert 20_000 <= first <= 32_000 - 7
    assert not batch.was_cancelled


def test_a_component_is_as_its_steps_ask(tmp_path: Path) -> None:
    for gpus in (0, 2):
        script = rendered(Platform.SLURM, gpus=gpus)["job.sbatch"]
        components = re.findall(r"^#SBATCH (--ntasks=.*) --mem-per-cpu=\d+M$", script, flags=re.MULTILINE)
        assert components == re.findall(r"^tasks\[\d\]='(.*)'$", script, flags=re.MULTILINE)
        assert [each for each in components if "gpus" in each] == (
            ["--ntasks=2 --cpus-per-task=2 --gpus-per-task=2"] if gpus else []
        )
        assert script.count("#SBATCH hetjob\n") == len(components) - 1 == len(Role) - 1


def test_a_task_is_started_again_as_its_exit_status_says(tmp_path: Path) -> None:
    lost, crashed, done = "actor-1 75 75 75 75 75 75 75", "worker-0 1 139 1 1", "evaluator-0 0"
    batch = Batch(tmp_path, ends="\n".join((lost, crashed, done)))
    assert batch.ended() == 0
    assert (batch.lives("actor-1"), batch.lives("worker-0"), batch.lives("evaluator-0")) == (8, 5, 1)


@pytest.mark.parametrize(("ends", "lives", "status"), [("2", 1, 2), ("1 1 1 1 3 1", 5, 3)])
def test_what_only_the_user_can_mend_or_crashes_over_and_over_ends_the_job(
    ends: str, lives: int, status: int, tmp_path: Path
) -> None:
    batch = Batch(tmp_path, ends=f"all stop\nlearner-0 {ends}")
    assert batch.ended() == status
    assert batch.lives("learner-0") == lives
    assert batch.was_cancelled
    assert batch.lives("actor-0") == 1


def test_before_its_time_is_over_all_are_told_once_and_waited_for(tmp_path: Path) -> None:
    batch = Batch(tmp_path, ends="all stop")
    until(lambda: len(list(batch.stand_ins.glob("waits.*"))) == len(EVERYBODY))
    (number,) = re.findall(r"^#SBATCH --signal=B:(\w+)@", batch.script, flags=re.MULTILINE)
    batch.process.send_signal(signal.Signals[f"SIG{number}"])
    assert batch.ended() == 0
    assert (batch.stand_ins / "scancel").read_text() == "--signal=TERM 4711\n"
    assert all(batch.lives(process_id.file_stem) == 1 for process_id in EVERYBODY)
