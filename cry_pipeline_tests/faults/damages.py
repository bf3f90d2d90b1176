"""What may have happened to a file between two looks at it: kinds of damage, each of which any artefact can suffer.

Belongs here: doing it to one file. Does not: which files there are and what must come of it (test_loading.py).
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cry_pipeline.artefacts import SEALED, write_html, write_json, write_table
from cry_pipeline.inference.bundle import MANIFEST, _render

Damage = Callable[[Path, Path | None], bool]
"""Does it to a file, given another whole one of its kind; returns whether such a thing can happen to it at all."""
HEADER_BYTES = 100
"""Of SQLite's file, where a flipped bit is seen whatever is asked for."""


def flipped(path: Path, _: Path | None) -> bool:
    """One bit, in the middle; of a database in its header."""
    content = bytearray(path.read_bytes())
    if not content:
        return False
    content[3 if path.suffix == ".db" else len(content) // 2] ^= 8
    path.write_bytes(content)
    return True


def edited(path: Path, _: Path | None) -> bool:
    """Other numbers in a file that is still valid, seals and footers as they were."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        if not table.num_rows:
            return False
        pq.write_table(_other_values(table), path)
        return True
    content = path.read_bytes()
    place = next((m.start() for m in re.finditer(rb"\d", content) if len(content) > HEADER_BYTES), None)
    if place is None or path.suffix == ".db":
        return False
    digits = [m.start() for m in re.finditer(rb"[1-8]", content)]
    place = digits[len(digits) // 2]
    path.write_bytes(content[:place] + bytes([content[place] + 1]) + content[place + 1 :])
    return True


def _other_values(table: pa.Table) -> pa.Table:
    """Return the table with its rows turned round in the last column alone, or, if that changes nothing, doubled."""
    name = table.column_names[-1]
    turned = table.set_column(table.num_columns - 1, name, table.column(name).take(list(range(len(table)))[::-1]))
    changed = turned if not turned.equals(table) else pa.concat_tables([table, table])
    return changed.replace_schema_metadata(table.schema.metadata)


def cut(path: Path, _: Path | None) -> bool:
    """Half of it is there."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return bool(content)


def empty(path: Path, _: Path | None) -> bool:
    """Nothing is in it."""
    whole = path.stat().st_size
    path.write_bytes(b"")
    return bool(whole)


def swapped(path: Path, neighbour: Path | None) -> bool:
    """A neighbour's whole content is in its place."""
    if neighbour is None or neighbour.read_bytes() == path.read_bytes():
        return False
    shutil.copyfile(neighbour, path)
    return True


def newer(path: Path, _: Path | None) -> bool:
    """A version to come wrote it: sound, with an entry more or under another key."""
    return _of_another_version(path, +1)


def older(path: Path, _: Path | None) -> bool:
    """A version of before wrote it: sound, with an entry less or under another key."""
    return _of_another_version(path, -1)


def _of_another_version(path: Path, step: int) -> bool:
    if path.suffix == ".parquet" and path.parent.name.startswith("fold-"):
        return False  # its provenance says of which bytes it is
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        write_table(path, table.assign(of_a_newer_version=1) if step > 0 else table.iloc[:, :-1], "f" * 64)
    elif path.suffix == ".html":
        write_html(path, "<!doctype html>\n<p>of another version</p>", "f" * 64)
    elif path.suffix == ".json":
        return _json_of_another_version(path, step)
    else:
        return False
    return True


def _json_of_another_version(path: Path, step: int) -> bool:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if path.name == MANIFEST:
        content["format"] += step
        path.write_text(_render({name: value for name, value in content.items() if name != "sha256"}))
        return True
    if content.pop(SEALED, None) is None:
        return False
    if step > 0:
        content["of_a_newer_version"] = 1
    else:
        content.popitem()
    write_json(path, content)
    return True


def folder(path: Path, _: Path | None) -> bool:
    """A folder, with somebody's file in it, has its name."""
    path.unlink()
    path.mkdir()
    (path / "of somebody").write_text("else")
    return True


def pipe(path: Path, _: Path | None) -> bool:
    """A pipe that nobody writes into has its name."""
    path.unlink()
    os.mkfifo(path)
    return True


def dangling(path: Path, _: Path | None) -> bool:
    """A link that leads nowhere has its name."""
    path.unlink()
    path.symlink_to(path.parent / "nowhere" / "at all")
    return True


def gone(path: Path, _: Path | None) -> bool:
    """It is not there."""
    path.unlink()
    return True


DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (flipped, edited, cut, empty, swapped, newer, older, folder, pipe, dangling, gone)
}
