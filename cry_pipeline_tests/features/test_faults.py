"""The store under bit flips, lost files and kill -9: never a wrong value, never half a part."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cry_pipeline.features.kinds import KINDS
from cry_pipeline.features.rows import FeatureStoreError
from cry_pipeline.features.store import FeatureStore


def _flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _damages(path: Path) -> Iterator[tuple[str, bytes | None]]:
    content = path.read_bytes()
    rng = np.random.default_rng(len(content))
    for bit in [0, len(content) * 8 - 1, *rng.integers(len(content) * 8, size=8)]:
        yield f"bit {bit}", _flip(content, int(bit))
    yield "truncated", content[:-1]
    yield "emptied", b""
    yield "lengthened", content + b"\0"
    yield "deleted", None


def test_damage_to_any_file_never_reads_as_other_values_and_is_always_found(store: FeatureStore, make_rows) -> None:
    rows = make_rows(a=3, b=5)
    part = store.root / "parts" / store.write(rows)
    files = [path for path in sorted(store.root.rglob("*")) if path.is_file()]
    assert len(files) == 15  # six arrays with metadata and a chunk, the group, part.json, feature_set.json
    told = []
    for path in files:
        whole = path.read_bytes()
        for damage, content in _damages(path):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            reader = FeatureStore.open(store.root.parent, store.spec)
            try:
                read = reader.read(rows.recording_ids, tuple(KINDS))
            except FeatureStoreError as error:
                told.append(str(error))
            else:
                for kind, array in rows.arrays.items():
                    np.testing.assert_array_equal(read.arrays[kind], array, err_msg=f"{path} {damage}")
            faults = reader.verify().faults
            assert list(faults) == ([part.name] if part in path.parents else ["feature_set.json"]), (path, damage)
            if part in path.parents:
                assert reader.missing(rows.recording_ids) == list(rows.recording_ids)
                shutil.move(store.root / "quarantine" / part.name, part)
            path.write_bytes(whole)
    assert FeatureStore.open(store.root.parent, store.spec).verify().faults == {}
    # Every damage to data, metadata and part.json; to what only other readers read, only verify looks.
    assert len(told) == 9 * 14
    assert all(part.name in sentence for sentence in told)


def test_kill_at_any_step_of_the_commit_leaves_nothing_or_a_whole_part(
    store: FeatureStore, make_rows, tmp_path: Path
) -> None:
    rows = make_rows(a=3, b=5)
    np.savez(tmp_path / "rows.npz", ids=rows.recording_ids, offsets=rows.offsets, **rows.arrays)
    (tmp_path / "spec.json").write_text(store.spec.model_dump_json())
    told = subprocess.run(
        [sys.executable, "-m", "cry_pipeline_tests.features.killed_writer", tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    outcomes = [json.loads(line) for line in told.stdout.splitlines()]
    assert outcomes[-1]["acknowledged"]
    assert all(not outcome["acknowledged"] for outcome in outcomes[:-1])
    visible = 0
    for outcome in outcomes:
        after = FeatureStore.open(tmp_path / outcome["folder"], store.spec)
        there = after.recording_ids()
        assert there in (set(), {"a", "b"}), outcome
        assert there or not outcome["acknowledged"]
        if there:
            visible += 1
            read = after.read(rows.recording_ids, tuple(KINDS))
            for kind, array in rows.arrays.items():
                np.testing.assert_array_equal(read.arrays[kind], array)
        assert set(after.verify().faults) <= {"feature_set.json"}
    assert len(outcomes) > 40
    assert 1 < visible < len(outcomes)  # also killed between the rename and the acknowledgement
    last_invisible = FeatureStore.open(tmp_path / outcomes[-visible - 1]["folder"], store.spec)
    last_invisible.write(rows)  # what was left is in nobody's way
    assert last_invisible.recording_ids() == {"a", "b"}
