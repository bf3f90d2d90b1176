"""A process that is asked to end does so within seconds, and says so once, whatever it is at."""

import signal
import subprocess
import sys
import time

import pytest

from cry_pipeline_tests.processes import heed_ctrl_c

SCRIPT = """
import sys, threading, time, weakref
from cry_pipeline.command import stopping

def say(words):
    print(words, flush=True)

class Thing:
    pass

def works():
    say("at work")
    time.sleep(60)

def deaf():
    say("at work")
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

def swallows():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: (say("at work"), time.sleep(60)))
    del thing
    time.sleep(60)

def waits_for_a_thread():
    threading.Thread(target=time.sleep, args=(60,)).start()
    works()

def is_done():
    with stopping.heeded(lambda: say("never")):
        pass
    works()

work = globals()[sys.argv[1]]
if work is is_done:
    work()
try:
    with stopping.heeded(lambda: say("ended")):
        try:
            work()
        except KeyboardInterrupt:
            say(f"stopped {stopping.exit_code(wait_s=1.0)}")
            raise
except KeyboardInterrupt:
    sys.exit(stopping.exit_code())
"""


@pytest.mark.parametrize(
    ("work", "signals", "code", "said", "within_s"),
    [
        ("works", [signal.SIGINT], 130, "stopped 130\n", 2.5),
        ("works", [signal.SIGTERM], 143, "stopped 143\n", 2.5),
        ("works", [signal.SIGTERM, signal.SIGTERM], 143, "stopped 143\n", 2.5),
        ("swallows", [signal.SIGTERM], 143, "stopped 143\n", 2.5),
        ("waits_for_a_thread", [signal.SIGTERM], 143, "stopped 143\n", 5.0),
        ("deaf", [signal.SIGTERM], 143, "ended\n", 5.0),
        ("deaf", [signal.SIGINT, 1.0, signal.SIGINT], 130, "ended\n", 2.5),
        ("is_done", [signal.SIGTERM], -signal.SIGTERM, "", 2.5),
    ],
)
def test_a_process_ends_when_it_is_asked_to(
    work: str, signals: list[signal.Signals | float], code: int, said: str, within_s: float
) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SCRIPT, work]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_ctrl_c) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        began = time.monotonic()
        for number in signals:
            process.send_signal(number) if isinstance(number, signal.Signals) else time.sleep(number)
        out, complained = process.communicate(timeout=60)
    assert (process.returncode, out, complained) == (code, said, "")
    assert time.monotonic() - began < within_s


def test_a_signal_that_is_ignored_stays_so() -> None:
    script = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SCRIPT}"
    with subprocess.Popen([sys.executable, "-c", script, "works"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(5) == 143
