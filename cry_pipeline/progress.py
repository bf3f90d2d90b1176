"""Progress of long work: a bar for a terminal, sparse lines for a log.

Belongs here: how progress is shown. Does not: what is being done.
"""

import logging
import sys
import time
from collections.abc import Generator, Iterable
from typing import TypeVar

LOG = logging.getLogger("cry_pipeline")
LOG_EVERY_S = 10.0

T = TypeVar("T")

_hidden = False


def hide() -> None:
    """Show nothing from now on in this process: its parent says how far the whole is."""
    global _hidden
    _hidden = True


def track(
    items: Iterable[T], description: str, *, total: int | None = None, unit: str = "recordings"
) -> Generator[T, None, None]:
    """Yield ``items``, showing a bar where stderr is a terminal and a log line every ten seconds elsewhere."""
    if total is None:
        total = len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    if _hidden:
        yield from items
        return
    if sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, total=total, unit=unit, leave=False, dynamic_ncols=True)
        return
    started = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= LOG_EVERY_S:
            said = now
            rate = done / (now - started)
            left = f", {max(total - done, 0) / rate:.0f} s left" if total else ""
            pace = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
            LOG.info("%s: %s/%s %s, %s%s", description, done, total or "?", unit, pace, left)
