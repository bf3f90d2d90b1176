"""A clock that was set back, for tests of what looks at times of before."""

import time
from types import SimpleNamespace
from typing import Any


def set_back(by_s: float = 24 * 3600.0) -> Any:
    """Stand in for the module ``time``, in the module under test alone."""
    return SimpleNamespace(time=lambda: time.time() - by_s)
