"""Paths as tables hold them: any name that a file system allows, as text that can be kept and shown, and back.

Belongs here: the one way to write names that are no text. Does not: what names mean (filenames.py).

A name on Linux is bytes. Those that are no UTF-8 fit into no table, and line ends, escapes, marks that turn the
direction of text, and what is not seen at all would let a name pass for another one where it is shown. Each byte of
these is written as ``\\xNN``, and so is a backslash that would look like one of them, so that no two names become one.
"""

import re

_UNFIT = (
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    "\udc80-\udcff]"
)
"""Not the joiners U+200C and U+200D: Persian and Indian names, and some emoji, are written with them."""
_UNFIT_OR_ALIKE = re.compile(_UNFIT + r"|\\(?=x[0-9a-f]{2})")
_WRITTEN = re.compile(rb"\\x([0-9a-f]{2})")


def printable(path: str) -> str:
    """Return ``path``, as :mod:`os` gives it, as text; that of the corpus' and of most others' names is the same."""
    return _UNFIT_OR_ALIKE.sub(_in_hex, path)


def unprintable(text: str) -> str:
    """Return the path, as :mod:`os` takes it, of which :func:`printable` made ``text``."""
    return _WRITTEN.sub(lambda byte: bytes.fromhex(byte[1].decode()), _encoded(text)).decode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """Return any text, of printable paths and strangers' words, without what no table can hold or would garble it."""
    return re.sub(_UNFIT, _in_hex, text.encode("utf-8", "backslashreplace").decode())


def _in_hex(unfit: re.Match[str]) -> str:
    return "".join(rf"\x{byte:02x}" for byte in _encoded(unfit[0]))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
