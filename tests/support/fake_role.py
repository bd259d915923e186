"""Stands in for a process of a job: `python fake_role.py run ROLE CONFIG --index I …` gives heartbeats.

What it is told stands in files of the folder `STAND_INS`: `<role>-<i>.do` has a line of words for each life (the last
for all that follow), `over` ends everybody. What it did, it writes there, too.
"""

import os
import signal
import sys
import time
from pathlib import Path

from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.heartbeat_files import heartbeat_file, write_heartbeat
from tfdqn.storage.failures import keep_stop
from tfdqn.storage.run_directory import RunDir

FOLDER = Path(os.environ["STAND_INS"])


def note(name: str, line: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(f"{line}\n")


def main() -> None:
    process_id = ProcessId(Role(sys.argv[2]), int(sys.argv[sys.argv.index("--index") + 1]))
    lives = FOLDER / f"{process_id.file_stem}.lives"
    note(lives.name, str(os.getpid()))
    told = FOLDER / f"{process_id.file_stem}.do"
    lines = told.read_text().splitlines() if told.exists() else []
    life = len(lives.read_text().splitlines())
    words = lines[min(life, len(lines)) - 1].split() if lines else []
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    if "deaf" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "refuse" in words:
        print("tfdqn: task.id = 3: no such thing", file=sys.stderr)
        sys.exit(2)
    file = heartbeat_file(process_id)
    is_working = "unready" not in words
    while "signless" in words:
        time.sleep(60)
    write_heartbeat(file, str(process_id), "at work" if is_working else "starting", 10.0)
    if "child" in words and os.fork() == 0:
        while True:
            time.sleep(60)
    for word in words:
        if word.isdecimal():
            print("ValueError: something broke", file=sys.stderr, flush=True)
            sys.exit(int(word))
    while not asked and not (FOLDER / "over").exists():
        if "mute" not in words:
            write_heartbeat(file, str(process_id), "at work" if is_working else "starting", 10.0)
        time.sleep(0.05)
    note("order", process_id.file_stem)
    file.unlink(missing_ok=True)
    if "full" in words:
        print("tfdqn: run: the disk is full: make room", file=sys.stderr)
        sys.exit(2)
    if "held-up" in words:
        if "saved" in words:
            run = RunDir(sys.argv[sys.argv.index("--run-dir") + 1])
            keep_stop(run, "it was asked to end, and was held up (drawing): ended after saving", is_saved=True)
        sys.exit(143)


main()
