"""As many caged decoders as there are threads that decode at the same time, and what holds them.

Belongs here: the one pool of a process, and which cage the settings ask for. Does not: one decoder (decoder.py).
"""

import atexit
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from cry_pipeline.corpus.audio import Audio
from cry_pipeline.corpus.cage.confinement import PARTS
from cry_pipeline.corpus.cage.decoder import LIMIT_S, MEMORY_BYTES, PROGRAM, CagedDecoder, CageError
from cry_pipeline.settings import load_settings

LOG = logging.getLogger("cry_pipeline")
Level = Literal["require", "best", "off"]


class DecoderPool:
    """Caged decoders, started when they are needed and used again."""

    def __init__(
        self,
        level: Level = "best",
        limit_s: float = LIMIT_S,
        memory_bytes: int = MEMORY_BYTES,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Start none yet.

        Args:
            level: "require" refuses to decode where a part of the confinement cannot be had, "best" says so once.
            limit_s: what decoding one file may take of time.
            memory_bytes: and of memory.
            program: Python's arguments for a decoder.
        """
        self.level: Level = level
        self.parts: tuple[str, ...] | None = None
        """What holds the decoders; None as long as there was none."""
        self._limit_s, self._memory_bytes, self._program = limit_s, memory_bytes, program
        self._idle: list[CagedDecoder] = []
        self._busy: set[CagedDecoder] = set()
        self._stops = 0
        self._change = threading.Lock()
        # The system ends a decoder with the thread that started it: this one lives as long as the process.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starts decoders")

    def decode(self, data: bytes) -> Audio:
        """Decode a file's content in a cage; raises as :meth:`CagedDecoder.decode`, and CageError."""
        decoder = self._taken()
        try:
            return decoder.decode(data, self._limit_s)
        finally:
            self._give_back(decoder)

    def confinement(self) -> tuple[str, ...]:
        """Return what of confinement.PARTS holds decoders here; one is started to see it.

        Raises:
            CageError: as for :meth:`decode`.
        """
        self._give_back(self._taken())
        return self.parts or ()

    def stop(self) -> None:
        """End all decoders at once; those at work raise CageStoppedError to who waits. New ones can be started."""
        with self._change:
            self._stops += 1
            idle, self._idle = self._idle, []
            for decoder in self._busy:
                decoder.stop()
        for decoder in idle:
            decoder.close()

    def _taken(self) -> CagedDecoder:
        with self._change:
            decoder, stops = self._idle.pop() if self._idle else None, self._stops
        if decoder is None:
            decoder = self._starter.submit(CagedDecoder, self._memory_bytes, self._program).result()
            self._look_at(decoder)
        with self._change:
            self._busy.add(decoder)
            if stops != self._stops:  # while it was started
                decoder.stop()
        return decoder

    def _give_back(self, decoder: CagedDecoder) -> None:
        usable = decoder.usable
        with self._change:
            self._busy.discard(decoder)
            if usable:
                self._idle.append(decoder)
        if not usable:
            decoder.close()

    def _look_at(self, decoder: CagedDecoder) -> None:
        """See whether what holds ``decoder`` is what is asked for."""
        known, self.parts = self.parts, decoder.parts
        missing = ", ".join(part for part in PARTS if part not in decoder.parts)
        if missing and self.level == "require":
            decoder.close()
            raise CageError(
                f"CRY_PIPELINE_DECODER_CAGE=require asks for {', '.join(PARTS)}, and this system has no {missing} "
                "(Linux 5.13 or newer on x86_64 or aarch64 has all): nothing was decoded. Set it to best to go on "
                "with less"
            )
        if missing and known is None:
            LOG.warning("decoders run without %s, which this system has not got: see `cry-pipeline doctor`", missing)


_shared: DecoderPool | None = None
_making = threading.Lock()
_owner = 0


def shared() -> DecoderPool:
    """Return the pool of this process, with the cage that CRY_PIPELINE_DECODER_CAGE asks for when it is first used."""
    global _shared, _owner
    with _making:
        if _shared is None or _owner != os.getpid():  # a fork has its parent's decoders, and must not talk to them
            _shared, _owner = DecoderPool(load_settings().decoder_cage), os.getpid()
            atexit.register(_shared.stop)
        return _shared


def in_force() -> str:
    """Return in words what holds this process' decoders, as far as one was needed."""
    pool = shared()
    if pool.level == "off":
        return "off: files are decoded in the pipeline's own process"
    if pool.parts is None:
        return f"{pool.level}: not needed, nothing but plain WAV was decoded"
    return f"{pool.level}: a process of its own with {', '.join(pool.parts)}"


def stop() -> None:
    """End this process' decoders, if there are any, so that nobody has to wait for them."""
    if _shared is not None and _owner == os.getpid():
        _shared.stop()
