"""One at a time on a data folder: who comes second waits or is told by whom, and a killed holder holds nothing."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cry_pipeline.orchestration.lock import (
    WRITER,
    BusyError,
    Holder,
    Process,
    _started,
    is_alive_in,
    remove_signs_of_life,
    write_alone,
)
from cry_pipeline_tests.processes import wait_until

HOLDER = """
import sys, time
from pathlib import Path
from cry_pipeline.orchestration.lock import write_alone
with write_alone(Path(sys.argv[1]), "the first one"):
    print("holds", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of ``tmp_path`` until it reads a line."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_the_second_is_refused_with_who_holds_it_since_when_and_for_what(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    said = rf"the first one \(process {holder.pid} on {socket.gethostname()}, since \d{{4}}-.*, for 0 min\)"
    with pytest.raises(BusyError, match=said), write_alone(tmp_path, "the second one", wait_s=0):
        pytest.fail("two wrote at a time")


def test_the_second_waits_until_the_first_has_ended_and_says_so(
    holder: subprocess.Popen[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looked = []

    def end_the_first() -> None:
        looked.append(Holder.read(tmp_path / WRITER))
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.wait()

    with caplog.at_level(logging.INFO), write_alone(tmp_path, "the second one", meanwhile=end_the_first):
        now = Holder.read(tmp_path / WRITER)
    assert [found.what for found in looked] == ["the first one"]
    assert now is not None
    assert (now.what, now.process) == ("the second one", Process.this())
    assert f"Waiting for the first one (process {holder.pid}" in caplog.text
    assert Holder.read(tmp_path / WRITER) is None


def test_a_killed_process_holds_nothing(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    left = Holder.read(tmp_path / WRITER)
    assert left is not None
    assert left.process.is_dead()
    with write_alone(tmp_path, "the second one", wait_s=0):
        pass


def test_what_is_raised_while_waiting_ends_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), write_alone(tmp_path, "the second one", meanwhile=stop):
        pytest.fail("two wrote at a time")
    assert holder.poll() is None


def test_a_process_is_dead_once_it_has_ended_though_nobody_asked_after_it(holder: subprocess.Popen[str]) -> None:
    script = "from cry_pipeline.orchestration.lock import Process; from dataclasses import asdict; import json, sys\n"
    script += "print(json.dumps(asdict(Process.this())), flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        process = Process(**json.loads(child.stdout.readline()))
        assert process.pid == child.pid
        assert not process.is_dead()
        os.kill(child.pid, signal.SIGKILL)
        wait_until(process.is_dead, "a killed process is known to be dead")  # a zombie until the end of this block
    assert process.is_dead()


def test_a_process_of_another_boot_is_dead_and_one_of_another_host_is_never_called_so() -> None:
    this = Process.this()
    assert not this.is_dead()
    boot, _, ticks = this.started.partition(" ")
    assert replace(this, started=f"another-boot {ticks}").is_dead()
    assert replace(this, started=f"{boot} {int(ticks) - 1}").is_dead(), "its number was given to another process"
    assert not replace(this, host="elsewhere", pid=2**22 + 1, started="another-boot 1").is_dead()


def test_a_holder_of_a_time_to_come_has_held_it_for_no_time() -> None:
    """The clock was set back since."""
    since = (datetime.now().astimezone() + timedelta(hours=3)).isoformat(timespec="seconds")
    assert str(Holder(Process.this(), since, "a run")).endswith(", for 0 min)")


SIGNED = """
import sys
from pathlib import Path
from cry_pipeline.orchestration.lock import stay_alive_in
stay_alive_in(Path(sys.argv[1]))
print("alive", flush=True)
sys.stdin.readline()
"""


def test_a_process_in_another_container_is_known_to_be_dead_by_the_folder_it_shares(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "alive\n"
        here = Process(socket.gethostname(), started.pid, _started(started.pid), Process.this().numbered_in)
        assert is_alive_in(tmp_path, here) is True
        started.kill()
    assert is_alive_in(tmp_path, here) is False
    # A number of another container's, which here is nobody's, or somebody else's.
    elsewhere = replace(here, numbered_in="pid:[1]")
    assert not elsewhere.is_dead()
    assert is_alive_in(tmp_path, elsewhere) is None
    remove_signs_of_life(tmp_path)
    assert list(tmp_path.iterdir()) == []
