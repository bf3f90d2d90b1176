"""The process in the cage: bytes in, samples or the reason why there are none out, until the pipe closes.

Belongs here: warming up, being confined, and answering. Does not: what confines (confinement.py), decoding
(uncaged.py), and the other end of the pipes (decoder.py), which believes nothing of what comes from here.

Whatever decoding may need is loaded before the door closes; that it still decodes behind it is tried at once. An answer
is the length of its head, the head as JSON, and the samples that it counts, float32 as this machine has them.
"""

import errno
import gc
import json
import os
import signal
import struct
import sys
import traceback
from typing import Any

from cry_pipeline.corpus.audio import DecodeError, DecoderMemoryError
from cry_pipeline.corpus.cage.confinement import confine, end_with_parent
from cry_pipeline.corpus.uncaged import decode_uncaged

LENGTH = struct.Struct("<Q")
WARMING = (
    b"#!AMR\n" + (b"\x3c" + bytes(31)) * 3 + b"\x7c" * 3,
    b"RIFF" + struct.pack("<I8sIHHIIHH4sI", 276, b"WAVEfmt ", 16, 1, 1, 8000, 24000, 3, 24, b"data", 240) + bytes(240),
    b"no audio",
)
"""Tiny files: one is decoded frame by frame, one packet by packet, one not at all."""
LONGEST_WORDS = 3000

Answer = tuple[dict[str, Any], bytes]


def main() -> None:
    """Answer until the pipe closes. Arguments: the parent's process id, bytes of memory to decode with."""
    parent, memory_bytes = map(int, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):  # a service manager sends it to all; the parent ends this process
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(parent)
    warm = [answer(data) for data in WARMING]
    gc.collect()
    os.set_blocking(sys.stderr.fileno(), False)  # what is said there is read after the end only, if at all
    parts = confine(memory_bytes)
    if (confined := [answer(data) for data in WARMING]) != warm:
        sys.exit(f"in the cage {confined} is decoded and outside {warm}")
    _send({"parts": parts}, b"")
    try:
        while size := sys.stdin.buffer.read(LENGTH.size):
            _send(*answer(sys.stdin.buffer.read(*LENGTH.unpack(size))))
    except MemoryError:
        os._exit(errno.ENOMEM)  # what is left of it may not do for more


def answer(data: bytes) -> Answer:
    """Return the head and the samples' bytes that answer a file's content."""
    try:
        audio = decode_uncaged(data)
    except DecodeError as error:
        return {"reason": error.reason, "words": str(error)[:LONGEST_WORDS]}, b""
    except MemoryError:
        return {"reason": DecoderMemoryError.reason, "words": ""}, b""
    except Exception as error:  # a fault of this code, which the parent logs
        trace = traceback.format_exc()[-LONGEST_WORDS:]
        return {"reason": "defect", "words": f"{type(error).__name__}: {error}"[:LONGEST_WORDS], "trace": trace}, b""
    about = {"codec": audio.codec, "channels": audio.channels, "sample_rate_hz": audio.sample_rate_hz}
    return {**about, "samples": audio.samples.size}, audio.samples.tobytes()


def _send(head: dict[str, Any], samples: bytes) -> None:
    text = json.dumps(head).encode()
    sys.stdout.buffer.write(LENGTH.pack(len(text)) + text)
    sys.stdout.buffer.write(samples)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
