"""This side of the cage: start a decoder, hand it a file's bytes, and believe nothing that it answers.

Belongs here: one caged process, its limits on time, and what its end means. Does not: how many there are (pool.py), and
what goes on within (child.py).
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from cry_pipeline.corpus.audio import (
    MAX_CHANNELS,
    MAX_RATE_HZ,
    MAX_VALUES,
    MIN_RATE_HZ,
    Audio,
    DecodeError,
    DecoderCrashedError,
    DecoderMemoryError,
    DecoderTimeoutError,
    NotAudioError,
    TruncatedError,
)
from cry_pipeline.corpus.cage.child import LENGTH
from cry_pipeline.corpus.paths import shown

MEMORY_BYTES = 2**30
"""What decoding may take of memory: twice the longest recording as float32, and the largest file twice."""
LIMIT_S = 30.0
"""What decoding may take of time: libav needs 0.5 s for the longest recordings."""
START_LIMIT_S = 120.0
LONGEST_HEAD = 32_768
CHUNK_BYTES = 1 << 20
PIPE_BYTES = 1 << 20
PROGRAM = ("-m", "cry_pipeline.corpus.cage.child")
LARGE_BYTES = 2**28
"""A process that has come to hold this much is not used again: what is freed does not always go back."""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TZ")
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
_CODEC = re.compile(r"[a-z0-9_]{1,40}")
_REASONS = {kind.reason: kind for kind in (DecodeError, NotAudioError, TruncatedError, DecoderMemoryError)}


class CageError(RuntimeError):
    """The cage cannot be had as it is asked for; the message says what to do."""


class CageStoppedError(CageError):
    """The decoder was stopped while it worked, because the pipeline is to end."""


class CagedDecoder:
    """A process that decodes one file at a time, for one thread at a time; ``parts`` of confinement.PARTS hold it."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, program: Sequence[str] = PROGRAM) -> None:
        """Start it, and wait until it is warm and confined.

        Args:
            memory_bytes: what it may take for decoding, beside what it has when it is warm.
            program: Python's arguments; those of the process are added.

        Raises:
            CageError: it does not start, or does not decode once it is confined.
        """
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        paths = os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place)
        self.parts: tuple[str, ...] = ()
        self._memory_bytes, self._stopped = memory_bytes, False
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", *program, str(os.getpid()), str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={**environment, **_ENVIRONMENT, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the parent
        )
        for pipe in self._pipes[:2]:
            os.set_blocking(pipe.fileno(), False)
            if sys.platform == "linux":
                with contextlib.suppress(
                    PermissionError
                ):  # so many of the user's pipes are large already; it only helps
                    fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self.parts = tuple(map(str, self._exchange([], START_LIMIT_S)[0]["parts"]))
        except (DecodeError, KeyError) as error:
            self._process.kill()
            said = self._pipes[2].read().decode(errors="replace").strip().splitlines()
            self.close()
            raise CageError(
                f"the decoder's process cannot be started: {shown(said[-1]) if said else error}. "
                "CRY_PIPELINE_DECODER_CAGE=off decodes without one, in the pipeline's own"
            ) from error

    @property
    def usable(self) -> bool:
        """Whether it can be given another file."""
        return self._process.poll() is None and self._resident_bytes() < LARGE_BYTES

    def decode(self, data: bytes, limit_s: float = LIMIT_S) -> Audio:
        """Decode a file's content; raises as ``decoding.decode_bytes``.

        Raises:
            DecoderCrashedError: the process ended, or answered what is no answer.
            DecoderTimeoutError: it took longer than ``limit_s``.
            DecoderMemoryError: it needed more memory than it may have.
            CageStoppedError: it was stopped meanwhile.
            RuntimeError: our own code failed in there; the notes have the traceback.
        """
        try:
            head, samples = self._exchange([LENGTH.pack(len(data)), data], limit_s)
            if "reason" in head:
                raise self._refusal(head)
            return _believed(head, samples)
        except _NoAnswerError as error:
            self.close()
            raise DecoderCrashedError(f"makes the decoder answer what is no answer ({error})") from error

    def stop(self) -> None:
        """End the process at once, from any thread: who waits for it gets CageStoppedError."""
        self._stopped = True
        self._process.kill()

    def close(self) -> None:
        """End the process and give back what it holds here."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        return self._process.stdin, self._process.stdout, self._process.stderr  # pyright: ignore[reportReturnType]

    def _resident_bytes(self) -> int:
        if sys.platform != "linux":
            return 0
        resident_pages = Path(f"/proc/{self._process.pid}/statm").read_bytes().split()[1]
        return int(resident_pages) * resource.getpagesize()

    def _exchange(self, request: Sequence[bytes], limit_s: float) -> tuple[dict[str, Any], bytearray]:
        """Send ``request`` and return the answer's head and samples, as bytes."""
        deadline, unsent, answer = time.monotonic() + limit_s, [memoryview(part) for part in request], _Answer()
        writer, reader, _ = (pipe.fileno() for pipe in self._pipes)
        ready = select.poll()
        ready.register(reader, select.POLLIN)
        if unsent:
            ready.register(writer, select.POLLOUT)
        while not answer.whole:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self.close()
                raise DecoderTimeoutError(f"keeps the decoder busy for more than {limit_s:g} s")
            for descriptor, _ in ready.poll(left_s * 1000):
                if descriptor == writer:
                    _write(writer, unsent)
                    if not unsent:
                        ready.unregister(writer)
                elif chunk := os.read(reader, CHUNK_BYTES):
                    answer.add(chunk)
                else:
                    raise self._ended()
        return answer.head, answer.samples

    def _ended(self) -> Exception:
        """Return what the end of the process means for the file that it was given."""
        code = self._process.wait()
        if self._stopped:
            return CageStoppedError("the decoder was stopped")
        if code == errno.ENOMEM:
            return self._hungry()
        if code == -signal.SIGKILL:
            return DecoderMemoryError("makes the system end the decoder, as it does where memory runs out")
        if code == -signal.SIGXCPU:
            return DecoderTimeoutError("keeps the decoder busy beyond its time")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        what = " by a system call that no decoder needs" if code == -signal.SIGSYS else ""
        return DecoderCrashedError(f"makes the decoder crash{what} ({name})")

    def _hungry(self) -> DecoderMemoryError:
        return DecoderMemoryError(f"needs more memory than the decoder may have ({self._memory_bytes / 1e6:,.0f} MB)")

    def _refusal(self, head: dict[str, Any]) -> Exception:
        reason, words, trace = (head.get(key, "") for key in ("reason", "words", "trace"))
        if not all(isinstance(text, str) for text in (reason, words, trace)):
            raise _NoAnswerError("no words")
        if reason == DecoderMemoryError.reason:
            return self._hungry()
        if not words or reason not in (*_REASONS, "defect"):
            raise _NoAnswerError("no reason")
        if reason in _REASONS:
            return _REASONS[reason](shown(words))
        failure = RuntimeError(shown(words))
        failure.add_note(f"in the decoder's process:\n{trace}")
        return failure


class _NoAnswerError(DecodeError):
    """What came from the cage is none of what may come."""


class _Answer:
    """An answer as it comes, of a size that is known as soon as its head is there."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {}
        self.samples, self.whole = bytearray(), False
        self._received, self._sample_bytes = bytearray(), -1

    def add(self, chunk: bytes) -> None:
        """Add what has come; :class:`_NoAnswerError` if it cannot become an answer."""
        if self._sample_bytes < 0:
            self._received += chunk
            chunk = self._read_head()
        self.samples += chunk
        if len(self.samples) > self._sample_bytes >= 0:
            raise _NoAnswerError("more samples than it says")
        self.whole = len(self.samples) == self._sample_bytes

    def _read_head(self) -> bytes:
        """Read the head if it is there, and return what came behind it."""
        start = LENGTH.size
        if len(self._received) < start:
            return b""
        (size,) = LENGTH.unpack(self._received[:start])
        if size > LONGEST_HEAD:
            raise _NoAnswerError("too long a head")
        if len(self._received) < start + size:
            return b""
        try:
            self.head = json.loads(self._received[start : start + size])
            count = self.head.get("samples", 0)
        except (ValueError, AttributeError, RecursionError) as error:
            raise _NoAnswerError("no head") from error
        self._sample_bytes = 4 * _integer(count, 0, MAX_VALUES)
        return bytes(self._received[start + size :])


def _believed(head: dict[str, Any], samples: bytearray) -> Audio:
    """Return the audio that an answer tells of, if it can be one: finite, in [-1, 1], of a known shape."""
    values, codec = np.frombuffer(samples, np.float32), head.get("codec")
    if not values.size or not (np.abs(values).max() <= 1):  # NaN is not, either
        raise _NoAnswerError("samples that are none")
    if not isinstance(codec, str) or not _CODEC.fullmatch(codec):
        raise _NoAnswerError("no codec")
    rate_hz = _integer(head.get("sample_rate_hz"), MIN_RATE_HZ, MAX_RATE_HZ)
    return Audio(values, rate_hz, codec, _integer(head.get("channels"), 1, MAX_CHANNELS))


def _integer(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _NoAnswerError("a number that cannot be")
    return value


def _write(descriptor: int, unsent: list[memoryview]) -> None:
    """Write as much as the pipe takes of what is ``unsent``, which is then less."""
    try:
        count = os.write(descriptor, unsent[0])
    except BlockingIOError:
        return
    except BrokenPipeError:  # what the other end came to is seen where its answer is read
        unsent.clear()
        return
    unsent[0] = unsent[0][count:]
    if not unsent[0]:
        unsent.pop(0)
