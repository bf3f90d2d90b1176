"""Digests: the keys under which work is cached, versioned and traced.

Belongs here: the one canonical form and the one hash. Does not: what goes into a stage's digest
(each stage says that itself).
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        # A catalog's entry says itself what of it counts, see catalog/base.py.
        return getattr(value, "parts", None) or value.model_dump(mode="json")
    raise TypeError(f"a digest cannot take in a {type(value).__name__}: convert it to JSON types first")


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces; NaN and infinities raise ``ValueError``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def digest(**parts: Any) -> str:
    """Return the sha256, as 64 hex digits, of the canonical JSON of the named ``parts``.

    By convention the parts are ``spec``, ``inputs`` (digests of what was read) and ``revision`` (of the
    implementation, raised when a change of code changes results).
    """
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
