"""This side of the cage outlives whatever happens on the other, and believes nothing that comes from there."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.corpus.audio import DecodeError, DecoderCrashedError, DecoderMemoryError, DecoderTimeoutError
from cry_pipeline.corpus.cage.decoder import MEMORY_BYTES, CagedDecoder, CageError, CageStoppedError
from cry_pipeline.corpus.uncaged import decode_uncaged
from cry_pipeline_tests.corpus.audio_files import aac, flac, wav
from cry_pipeline_tests.corpus.conftest import tone

SPOILT = """
import ctypes, os, signal, sys, time
from cry_pipeline.corpus.cage import child
decode = child.decode_uncaged
def spoilt(data):
    deed = data[:5]
    if deed == b"crash": ctypes.string_at(0)
    if deed == b"abort": os.abort()
    if deed == b"leave": os._exit(3)
    if deed == b"sleep": time.sleep(60)
    if deed == b"spins":
        while True: pass
    if deed == b"eats ": return [bytearray(1 << 20) for _ in range(1 << 20)]
    if deed == b"flies": os.fork()
    if deed == b"fault": raise ZeroDivisionError("of no use")
    return decode(data)
child.decode_uncaged = spoilt
child.main()
"""
"""The program in the cage, with a decoder that does what a file tells it to."""
LIAR = """
import os, struct, sys
def say(head, samples=b""):
    os.write(1, struct.pack("<Q", len(head)) + head + samples)
say(b'{{"parts": []}}')
sys.stdin.buffer.read(9)
{deed}
"""


@pytest.fixture(scope="module")
def decoder() -> Iterator[CagedDecoder]:
    decoder = CagedDecoder()
    yield decoder
    decoder.close()


@pytest.fixture
def spoilt() -> Iterator[CagedDecoder]:
    decoder = CagedDecoder(program=("-c", SPOILT))
    yield decoder
    decoder.close()


@pytest.mark.parametrize("make", [flac, lambda: aac(1.0), lambda: wav(tone(), subtype="PCM_24")], ids=["a", "b", "c"])
def test_what_is_decoded_in_the_cage_is_what_is_decoded_outside(make: Callable[[], bytes], decoder: CagedDecoder):
    data = make()
    caged, uncaged = decoder.decode(data), decode_uncaged(data)
    assert caged.samples.tobytes() == uncaged.samples.tobytes()
    assert caged.samples.dtype == np.float32
    assert caged.__dict__ | {"samples": 0} == uncaged.__dict__ | {"samples": 0}


def test_refusals_are_the_same_and_the_decoder_goes_on(decoder: CagedDecoder):
    for data in (b"", b"no audio", flac()[:-400], wav(tone(), subtype="PCM_24")[:-400]):
        with pytest.raises(DecodeError) as outside:
            decode_uncaged(data)
        with pytest.raises(type(outside.value)) as inside:
            decoder.decode(data)
        assert str(inside.value) == str(outside.value)
    assert decoder.decode(flac()).samples.size
    assert decoder.usable


@pytest.mark.parametrize(
    ("deed", "error", "said"),
    [
        (b"crash", DecoderCrashedError, r"makes the decoder crash \(SIGSEGV\)"),
        (b"abort", DecoderCrashedError, r"makes the decoder crash"),
        (b"leave", DecoderCrashedError, r"makes the decoder crash \(exit code 3\)"),
        (b"flies", DecoderCrashedError, r"by a system call that no decoder needs \(SIGSYS\)"),
        (b"sleep", DecoderTimeoutError, "keeps the decoder busy for more than 0.5 s"),
        (b"spins", DecoderTimeoutError, "keeps the decoder busy for more than 0.5 s"),
    ],
)
def test_a_file_costs_its_decoder_and_nothing_else(
    deed: bytes, error: type[Exception], said: str, spoilt: CagedDecoder
):
    if deed == b"flies" and "seccomp" not in spoilt.parts:
        pytest.skip("this system has no filter of system calls")
    with pytest.raises(error, match=said):
        spoilt.decode(deed, limit_s=0.5)
    assert not spoilt.usable


def test_a_hungry_file_is_refused_and_memory_stays_below_the_limit(spoilt: CagedDecoder):
    with pytest.raises(DecoderMemoryError, match=r"needs more memory than the decoder may have \(1,074 MB\)"):
        spoilt.decode(b"eats ")
    assert spoilt._resident_bytes() < MEMORY_BYTES


def test_a_fault_of_our_own_code_is_told_with_its_place(spoilt: CagedDecoder):
    with pytest.raises(RuntimeError, match="ZeroDivisionError: of no use") as error:
        spoilt.decode(b"fault")
    assert "in spoilt" in error.value.__notes__[0]
    assert spoilt.decode(flac()).samples.size


def audio(values: str = "0.5, -0.5", **changes: object) -> str:
    """The arguments with which a decoder says that a file holds two samples, or something like it."""
    head = {"codec": "flac", "channels": 1, "sample_rate_hz": 8000, "samples": 2} | changes
    return f"{json.dumps(head).encode()}, struct.pack('2f', {values})"


LIES = {
    "nothing": "sys.exit()",
    "half a length": "os.write(1, b'12')",
    "endless head": "os.write(1, struct.pack('<Q', 1 << 60))",
    "no JSON": "say(b'{')",
    "deep JSON": "say(b'[' * 30000)",
    "a list": "say(b'[]')",
    "an empty object": "say(b'{}')",
    "not text": "say(b'\\xff')",
    "endless samples": f"say({audio(samples=2**40)})",
    "less than no samples": f"say({audio(samples=-1)})",
    "half a sample": f"say({audio(samples=1.5)})",
    "no samples": f"say({audio(samples=0)})",
    "true samples": f"say({audio(samples=True)})",
    "more than it says": f"say({audio(samples=1)})",
    "no numbers": f"say({audio('1e999 - 1e999, 0')})",
    "loud samples": f"say({audio('1.5, 0')})",
    "a huge rate": f"say({audio(sample_rate_hz=10**9)})",
    "a rate of text": f"say({audio(sample_rate_hz='8000')})",
    "nine channels": f"say({audio(channels=9)})",
    "a codec of markup": f"say({audio(codec='[red]<b>')})",
    "a long codec": f"say({audio(codec='x' * 41)})",
    "no codec": f"say({audio(codec=None)})",
    "a refusal without words": """say(b'{"reason": "truncated"}')""",
    "words that are none": """say(b'{"reason": "truncated", "words": [1]}')""",
    "a reason of its own": """say(b'{"reason": "too_long", "words": "x"}')""",
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_answer_is_not_believed(lie: str):
    decoder = CagedDecoder(program=("-c", LIAR.format(deed=LIES[lie])))
    try:
        with pytest.raises(DecoderCrashedError):
            decoder.decode(b"x", limit_s=5)
        assert not decoder.usable
    finally:
        decoder.close()


def test_an_honest_answer_of_that_program_is_believed():
    """The lies above are told apart from it."""
    decoder = CagedDecoder(program=("-c", LIAR.format(deed=f"say({audio()})")))
    assert decoder.decode(b"x").samples.tolist() == [0.5, -0.5]
    decoder.close()


def test_words_of_the_other_side_are_short_and_printable():
    words = json.dumps({"reason": "truncated", "words": "\x1b[31m" + "x" * 20_000})
    decoder = CagedDecoder(program=("-c", LIAR.format(deed=f"say({words.encode()})")))
    with pytest.raises(DecodeError) as error:
        decoder.decode(b"x")
    decoder.close()
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("program", "said"),
    [("import nothing_of_this_name", "No module named"), ("print('hello')", ""), ("import os; os.abort()", "SIGABRT")],
)
def test_a_decoder_that_does_not_start_says_why_and_what_to_do(program: str, said: str):
    with pytest.raises(CageError, match=rf"cannot be started: .*{said}.*CRY_PIPELINE_DECODER_CAGE=off"):
        CagedDecoder(program=("-c", program))


def test_signals_to_end_are_left_to_the_pipeline(decoder: CagedDecoder):
    """Or a file at that moment would be taken for one that crashes decoders."""
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(decoder._process.pid, number)
    assert decoder.decode(flac()).samples.size


def test_stopping_a_decoder_ends_the_wait_for_it(spoilt: CagedDecoder):
    threading.Timer(0.3, spoilt.stop).start()
    started = time.monotonic()
    with pytest.raises(CageStoppedError):
        spoilt.decode(b"sleep")
    assert time.monotonic() - started < 5


def test_the_environment_of_the_pipeline_stays_outside(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    tells = 'import os; say(b\'{"reason": "truncated", "words": "\' + repr(sorted(os.environ)).encode() + b\'"}\')'
    decoder = CagedDecoder(program=("-c", LIAR.format(deed=tells)))
    with pytest.raises(DecodeError) as error:
        decoder.decode(b"x")
    decoder.close()
    assert "PYTHONPATH" in str(error.value)
    assert "AWS" not in str(error.value)


PARENT = """
import os, sys, threading
from cry_pipeline.corpus.cage.pool import DecoderPool
pool = DecoderPool(program=("-c", {program!r}))
pool.confinement()
print(pool._idle[0]._process.pid, flush=True)
if sys.argv[1]:
    pool.decode(sys.argv[1].encode())
sys.stdin.read()
"""


@pytest.mark.parametrize("deed", ["", "sleep", "spins"])
def test_no_decoder_is_left_of_a_killed_pipeline(deed: str):
    program = [sys.executable, "-c", PARENT.format(program=SPOILT), deed]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        decoder = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    for _ in range(100):
        if not _alive(decoder):
            return
        time.sleep(0.05)
    os.kill(decoder, signal.SIGKILL)
    pytest.fail("the decoder has outlived the process that started it by 5 s")


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
