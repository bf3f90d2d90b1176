"""YAML that says what its writer wrote: plain text → dicts, lists and scalars, or a sentence with file and line.

Belongs here: what YAML leaves open or lets pass in silence: keys given twice, words that are read as something else,
files that are none. Does not: what a catalog may say (specs.py), and which files it has (loading.py).

Scalars are read as YAML 1.2 does: only ``true`` and ``false`` are truth values, so that ``no`` and ``on`` are names.
Numbers are written in decimal without leading zeros: ``0160``, which is 112 to some and 160 to others, ``0x10``,
``1_000`` and ``1:30`` stay text, and are refused where a number is expected. Dates stay text, too.
"""

import math
import re
import stat
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 100_000
"""Ten times the packaged catalog. YAML is read at some 100 kB a second."""
MOST_NODES = 100_000
"""Entries of a file, each alias counted as what it stands for."""
DEEPEST = 40
"""A catalog nests four deep; some hundred levels down Python, and whoever reads on, runs out of stack."""
TOO_DEEP = f"entries are nested more than {DEEPEST} deep"
LARGEST = 2**53
"""Up to here JSON and floats hold each whole number."""
LONGEST_SHOWN = 80
UNFIT = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, halves of characters, and what turns the direction of text: they would garble whatever shows them."""
FALSE, TRUE = ("false", "False", "FALSE"), ("true", "True", "TRUE")
NULL = ("", "~", "null", "Null", "NULL")
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_TAG = "tag:yaml.org,2002:"


class YamlError(ValueError):
    """A file is not such YAML; the message has a line for each fault, with file and line number."""


def read_yaml(path: Path) -> Any:
    """Return what the file at ``path`` says, as JSON types; None where it holds nothing but comments.

    Raises:
        FileNotFoundError: there is no such file.
        YamlError: it cannot be read, is no plain file, is too large or nested too deeply, is not YAML, gives a key
            twice at any depth, has keys that are not text, or values of further types.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=_Plain)
        reading = _Reading(path)
        content = reading.value(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        hint = " (a tab: indent with spaces)" if "'\\t'" in said else ""
        raise YamlError(f"{path}: not YAML: {where}{said}{hint}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"{path}: not YAML: line {line}: a control character, {chr(error.character)!r}") from None
    if reading.faults:
        raise YamlError("\n".join(reading.faults))
    return content


def _text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise YamlError(f"{path}: is not a file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise YamlError(f"{path}: has more than {MOST_BYTES} bytes, which no catalog has")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise YamlError(f"{path}: not YAML: line {line} is not UTF-8: save it as UTF-8") from None
    except OSError as error:
        raise YamlError(f"{path}: cannot be read ({error.strerror}): see to its permissions") from None


class _Plain(yaml.SafeLoader):
    """Leaves every plain scalar as text but ``<<``: what it means is decided below."""

    yaml_implicit_resolvers = {"<": [(f"{_TAG}merge", re.compile("<<$"))]}  # noqa: RUF012 - as in the base
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Reading:
    """Nodes of one file → JSON types; ``faults`` gathers what cannot be taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[str] = []
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()
        self._said: set[tuple[int, str]] = set()

    def value(self, node: yaml.Node, keys: tuple[str, ...]) -> Any:
        """Return what ``node``, at ``keys`` of the file, stands for."""
        if id(node) in self._open:
            self._refuse(node, keys, "an alias that leads back to itself")
            return None
        if self._size(node) > MOST_NODES:
            self._refuse(node, keys, f"aliases stand for more than {MOST_NODES} entries")
            return None
        if len(self._open) > DEEPEST:  # through aliases of aliases; what is written so deep is not even composed
            self._refuse(node, keys[:DEEPEST], TOO_DEEP)
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
                return self._mapping(node, keys)
            if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
                return [self.value(item, (*keys, str(number))) for number, item in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
                return self._scalar(node, keys)
        finally:
            self._open.discard(id(node))
        self._refuse(
            node, keys, f"the type {ascii(node.tag.replace(_TAG, '!!'))[1:-1]} is not known here; leave it out"
        )
        return None

    def _mapping(self, node: yaml.MappingNode, keys: tuple[str, ...]) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, keys)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in lines:
                self._refuse(key_node, (*keys, key), f"is there twice, the first time on line {lines[key]}")
            elif key_node.tag == f"{_TAG}merge":
                merged = self._merged(value_node, keys)
            else:
                entries[key] = self.value(value_node, (*keys, key))
            lines.setdefault(key, line)
        return merged | entries

    def _key(self, node: yaml.Node, keys: tuple[str, ...]) -> str | None:
        if node.tag == f"{_TAG}merge":
            return "<<"
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str" and not re.search(r"[\t\n]", node.value):
            faults = len(self.faults)
            key = self._scalar(node, keys)
            if isinstance(key, str) or len(self.faults) > faults:
                return key
        written = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
        self._refuse(node, keys, f"{written} is not a name: put it in quotes, or check its spelling")
        return None

    def _merged(self, node: yaml.Node, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return what ``<<`` brings: of several mappings the first one counts."""
        faults = len(self.faults)
        content = self.value(node, keys)
        if len(self.faults) > faults:
            return {}
        parts = content if isinstance(content, list) else [content]
        entries: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, dict):
                self._refuse(node, (*keys, "<<"), "expected an alias of keys with their values")
                return {}
            entries = part | entries
        return entries

    def _scalar(self, node: yaml.ScalarNode, keys: tuple[str, ...]) -> Any:
        text = node.value
        if unfit := UNFIT.search(text):
            self._refuse(node, keys, f"holds {unfit[0]!r}, which is no character of a text")
            return None
        if node.style is not None:  # in quotes, or a block of text
            return text
        if text in NULL:
            return None
        if text in TRUE or text in FALSE:
            return text in TRUE
        if not NUMBER.match(text):
            return text
        number, whole = float(text), INTEGER.match(text)
        if not math.isfinite(number) or (whole and abs(number) > LARGEST):
            self._refuse(node, keys, f"{text:.{LONGEST_SHOWN}} is too large a number")
            return None
        return int(text) if whole else number

    def _size(self, node: yaml.Node) -> int:
        """Return how many entries ``node`` stands for."""
        known = self._sizes.get(id(node))
        if known is not None:
            return known
        self._sizes[id(node)] = 1  # of one that leads back to itself
        if isinstance(node, yaml.MappingNode):
            size = 1 + sum(self._size(key) + self._size(value) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            size = 1 + sum(self._size(item) for item in node.value)
        else:
            size = 1
        self._sizes[id(node)] = size
        return size

    def _refuse(self, node: yaml.Node, keys: tuple[str, ...], why: str) -> None:
        where = f"{'.'.join(keys)}: " if keys else ""
        if (id(node), why) not in self._said:  # what an alias stands for is met more than once
            self._said.add((id(node), why))
            self.faults.append(f"{self.path}: line {node.start_mark.line + 1}: {where}{why}")
