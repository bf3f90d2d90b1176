"""Progress of long work: a bar for a terminal, sparse lines for a log.

Belongs here: how progress is shown. Does not: what is being done.
"""

import logging
import shutil
import sys
import time
from collections.abc import Generator, Iterable
from typing import TypeVar

LOG = logging.getLogger("cry_pipeline")
LOG_EVERY_S = 10.0

BAR = "{desc}: {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}]"
BAR_WITHOUT_END = "{desc}: {n_fmt}{unit} [{elapsed}]"

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

        # The end of a bar that is too long would be cut off, and these are its figures: the name gives way.
        figures = len(f": 100%|{'':10}| {total or 10**6}/{total} {unit} [10:00:00<10:00:00]")
        name = shortened(description, shutil.get_terminal_size().columns - 1 - figures)
        form = BAR if total else BAR_WITHOUT_END
        yield from tqdm(
            items, desc=name, total=total, unit=f" {unit}", leave=False, dynamic_ncols=True, bar_format=form
        )
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


def shortened(name: str, width: int) -> str:
    """Return ``name`` in at most ``width`` characters, its middle left out where need be; never less than two ends."""
    if len(name) <= max(width, 3):
        return name
    end = max(width - 1, 2) // 2
    return f"{name[: max(width - 1, 2) - end]}…{name[-end:]}"
