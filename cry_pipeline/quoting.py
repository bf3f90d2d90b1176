"""Text from outside, made fit to be shown: names of files, what sidecars and labels say, errors that quote them.

Belongs here: what must not reach a terminal or a log as it is. Does not: names as tables hold them (corpus/paths.py),
and pages, whose templates escape.
"""

import logging
import traceback
from numbers import Number


def shown(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with all that is not to be seen escaped: control characters, bytes that are not UTF-8.

    Args:
        text: may quote what strangers wrote.
        lines: whether it may have more than one; by default a new line is escaped, too.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (lines and c == "\n") else _escaped(c) for c in text)


class Quoted(logging.Filter):
    """Makes what a log record quotes data, for all who write it down: a terminal, a file, Dagster's event log.

    An argument cannot begin a line, and no line but the first begins where a record's does.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the record's message and traceback in place; lets all records pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(a if isinstance(a, Number) else shown(str(a)) for a in record.args)
        record.msg = _indented(str(record.msg))
        if record.exc_info and record.exc_info[1]:
            record.exc_text = "  " + _indented("".join(traceback.format_exception(record.exc_info[1])).rstrip())
        return True


def _indented(text: str) -> str:
    return shown(text, lines=True).replace("\n", "\n  ")


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
