"""A process that is asked to end does so within seconds, and says so once, whatever it is at."""

import signal
import subprocess
import sys
import time

import pytest

from cry_pipeline_tests.processes import heed_ctrl_c

SCRIPT = """
import signal, sys, threading, time, weakref
from cry_pipeline.command import stopping

def say(words):
    print(words, flush=True)

class Thing:
    pass

def works():
    say("at work")
    time.sleep(600)

def deaf():
    once = iter(["at work"])
    while True:
        try:
            for words in once:
                say(words)
            time.sleep(600)
        except KeyboardInterrupt:
            pass

def swallows():
    thing = Thing()
    reference = weakref.ref(thing, lambda _: (say("at work"), time.sleep(600)))
    del thing
    time.sleep(600)

def sleeps_through_it():
    def hears_it_instead():
        time.sleep(0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    threading.Thread(target=hears_it_instead, daemon=True).start()
    works()

def waits_for_a_thread():
    threading.Thread(target=time.sleep, args=(600,)).start()
    works()

def is_done():
    with stopping.heeded(lambda: say("never")):
        pass
    works()

work, stopping.PATIENCE_S = globals()[sys.argv[1]], float(sys.argv[2])
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


FOR_EVER, SHORT = 600.0, 1.0


@pytest.mark.parametrize(
    ("work", "patience_s", "signals", "code", "said"),
    [
        ("works", FOR_EVER, [signal.SIGINT], 130, "stopped 130\n"),
        ("works", FOR_EVER, [signal.SIGTERM], 143, "stopped 143\n"),
        ("works", FOR_EVER, [signal.SIGTERM, signal.SIGTERM], 143, "stopped 143\n"),
        ("swallows", FOR_EVER, [signal.SIGTERM], 143, "stopped 143\n"),
        ("waits_for_a_thread", SHORT, [signal.SIGTERM], 143, "stopped 143\n"),
        ("sleeps_through_it", FOR_EVER, [], 130, "stopped 130\n"),
        ("deaf", SHORT, [signal.SIGTERM], 143, "ended\n"),
        ("deaf", FOR_EVER, [signal.SIGINT, 1.0, signal.SIGINT], 130, "ended\n"),
        ("is_done", FOR_EVER, [signal.SIGTERM], -signal.SIGTERM, ""),
    ],
)
def test_a_process_ends_when_it_is_asked_to(
    work: str, patience_s: float, signals: list[signal.Signals | float], code: int, said: str
) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SCRIPT, work, str(patience_s)]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_ctrl_c) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        for number in signals:
            process.send_signal(number) if isinstance(number, signal.Signals) else time.sleep(number)
        try:
            out, complained = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, complained) == (code, said, "")


def test_a_signal_that_is_ignored_stays_so() -> None:
    script = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SCRIPT}"
    command = [sys.executable, "-c", script, "works", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at work\n"
            process.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.terminate()
            assert process.wait(60) == 143
        finally:
            process.kill()
