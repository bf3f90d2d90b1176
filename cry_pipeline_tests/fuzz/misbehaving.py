"""Readers that do what no reader may, so that tests see that a campaign notices.

Belongs here: one reader for each rule. Does not: real readers (targets.py).
"""

import os
import time
from pathlib import Path

from cry_pipeline_tests.fuzz.targets import Target


def _seeds() -> dict[str, bytes]:
    return {"some/file": b"0123456789"}


def _raises(_: str, data: bytes, __: Path) -> str:
    raise IndexError(f"{len(data)} bytes")


def _crashes(*_: object) -> str:
    os.abort()


def _hangs(*_: object) -> str:
    time.sleep(600)
    return "never"


def _grows(*_: object) -> str:
    return str(len(b"x" * (300 << 20)))


def _behaves(_: str, data: bytes, __: Path) -> str:
    return "empty" if not data else "taken"


MISBEHAVING = {
    name: Target(_seeds, read, 0)
    for name, read in (
        ("raises", _raises),
        ("crashes", _crashes),
        ("hangs", _hangs),
        ("grows", _grows),
        ("behaves", _behaves),
    )
}
