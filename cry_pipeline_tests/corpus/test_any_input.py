"""Every entry of a folder is a row, in quarantine, or named as left aside, and nothing raises."""

import hashlib
import io
import json
import logging
import os
import shutil
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings

from cry_pipeline.corpus.manifest import build_manifest, read_quarantine, read_recordings, write_manifest
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.probing import CHANGED, Refusal, _probe, _Room
from cry_pipeline.corpus.sources import fingerprint, read_inventory, take_inventory, write_inventory
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, DONOR, SmallCorpus, age, android, tone

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "12"))
TRIED: Counter[str] = Counter()
"""What came of it; for whoever runs more examples."""

GOOD = {"donor": DONOR, "recorded_at": "2026-01-02T03:04:05Z", "platform": "ios", "reason": "tired"}


def wav(rate_hz: int = 8000, channels: int = 1, subtype: str = "PCM_16", hz: float = 440.0) -> bytes:
    """A tone of 1.2 s at 8 kHz, as a file of another rate where ``rate_hz`` says so."""
    file = io.BytesIO()
    soundfile.write(file, np.repeat(tone(hz=hz)[:, None], channels, axis=1), 8000, format="WAV", subtype=subtype)
    head = bytearray(file.getvalue())
    head[24:28] = struct.pack("<I", rate_hz)
    return bytes(head)


def mutated(content: bytes, changes: list[tuple[float, int]], cut: float) -> bytes:
    """``content`` with some bytes changed, and its end cut off."""
    made = bytearray(content)
    for place, value in changes:
        made[int(place * (len(made) - 1))] = value
    return bytes(made[: int(cut * len(made))])


shares = st.floats(0, 1)
heads = st.sampled_from([wav(), wav(channels=2), wav(subtype="FLOAT"), wav(subtype="IMA_ADPCM"), wav(subtype="PCM_24")])
sounds = st.one_of(
    st.binary(max_size=300),
    st.builds(
        wav, st.sampled_from([0, 1, 10, 25, 3999, 8000, 11_025, 48_000, 2**31, 2**32 - 1]), st.sampled_from([1, 2])
    ),
    st.builds(wav, hz=st.floats(200, 800)),
    # Most of what there is to break is in the head.
    st.builds(mutated, heads, st.lists(st.tuples(st.floats(0, 0.005), st.integers(0, 255)), max_size=4), st.just(1.0)),
    st.builds(mutated, heads, st.lists(st.tuples(shares, st.integers(0, 255)), max_size=4), shares),
    st.sampled_from(
        [b"", b"ID3", b"ffconcat version 1.0\nfile a.wav\n", b"v=0\nm=audio 1 RTP/AVP 0\n", b"#EXTM3U\nx\n"]
    ),
)

stems = st.one_of(
    st.builds(android, st.integers(0, 9_999_999_999_999), st.sampled_from(["hu", "ti", "xx", "ch"])),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20),
    st.binary(min_size=1, max_size=20).map(lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_"))),
    st.integers(200, 255).map(lambda length: "a" * length),
    st.sampled_from(
        [".", "..", ".hidden", "baby", "BABY", "b\\xe9", "\udce9", "[red]", "a\nb", "-", "~", "*", "\u202e"]
    ),
)
suffixes = st.sampled_from(
    [".wav", ".WAV", ".3gp", ".json", ".JSON", ".wav.json", ".part", ".wav.part", "", ".txt", ".m4a"]
)
names = st.builds(lambda stem, suffix: os.fsdecode(os.fsencode(stem)[: 255 - len(suffix)]) + suffix, stems, suffixes)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from([DONOR, "2026-01-02T03:04:05Z", "9999-12-31T23:59:59-12:00", "ios", "tired", "\ud800", "x" * 9999]),
    st.lists(st.integers(), max_size=3),
)
keys = st.sampled_from([*GOOD, "app_version", "gender", "age_band", "reason_code", "mood", "\ud800"])
sidecars = st.one_of(
    st.binary(max_size=100),
    st.builds(
        lambda told, more, code: json.dumps(told | more).encode(code, "surrogatepass"),
        st.sampled_from([{}, GOOD]),
        st.dictionaries(keys, values, max_size=4),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]),
    ),
    st.sampled_from([b"[" * 70_000, b'{"a":' * 9999, b'{"donor": 1' + b"0" * 5000 + b"}", b"{}" + b" " * 70_000]),
    st.integers(1, 9000).map(lambda many: json.dumps({f"key{number}": 1 for number in range(many)}).encode()),
)

FOLDERS = ("inbox", "inbox", "inbox", "inbox/hungry", "inbox/x.wav", f"corpus/{ANDROID}", f"corpus/{CLEANED}/hungry")
kinds = st.sampled_from(["file"] * 12 + ["pipe", "folder", "nothing", "circle", "out", "sibling", "hole"])
usual = st.builds(
    lambda epoch, suffix: android(1_430_000_000_000 + epoch) + suffix,
    st.integers(0, 999),
    st.sampled_from([".wav", ".3gp", ".caf"]),
)
entries = st.one_of(
    st.tuples(st.sampled_from(FOLDERS), names, kinds, sounds, st.none() | sidecars),
    st.tuples(st.sampled_from(FOLDERS), usual, st.just("file"), sounds, st.none()),
    st.tuples(st.just("inbox"), usual | names, st.just("file"), sounds, sidecars),
)


def put(corpus: SmallCorpus, folder: str, name: str, kind: str, sound: bytes, sidecar: bytes | None) -> None:
    """Put an entry into the corpus, with a sidecar where there is one; what no file system takes is not tried."""
    file = corpus.folder / folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        elif kind in ("nothing", "circle", "out", "sibling"):
            targets = {"nothing": "gone", "circle": name, "out": "/etc/hostname", "sibling": "sibling.wav"}
            file.symlink_to(targets[kind])
        elif kind == "hole":
            with file.open("wb") as opened:
                opened.truncate(5 << 30)
        else:
            file.write_bytes(sound)
        if sidecar is not None:
            Path(f"{file}.json").write_bytes(sidecar)
    except OSError as error:  # no file system takes it, or there is one of this name
        TRIED[str(error.strerror)] += 1
        return
    TRIED[kind] += 1


def everything(corpus: SmallCorpus) -> set[tuple[str, str]]:
    """Root and path of all files and empty folders below the roots; of hidden folders nothing but themselves."""
    found = set()
    for root, base, tops in (
        ("inbox", corpus.folder / "inbox", [corpus.folder / "inbox"]),
        ("corpus", corpus.folder / "corpus", sorted((corpus.folder / "corpus").iterdir())),
    ):
        for top in tops:
            for parent, folders, files in os.walk(top):
                if not folders and not files and Path(parent) != top:
                    found.add((root, printable(os.path.relpath(parent, base)) + "/"))
                hidden = [name for name in folders if name.startswith(".")]
                links = [name for name in folders if Path(parent, name).is_symlink()]
                folders[:] = [name for name in folders if name not in {*hidden, *links}]
                for name in {*files, *hidden, *links}:
                    found.add((root, printable(os.path.relpath(Path(parent, name), base))))
    return found


@pytest.fixture(autouse=True, scope="module")
def _few_words() -> Iterator[None]:
    """Keep a line for each refusal out of the report of a failure, and leave the logger as it was to other tests."""
    log = logging.getLogger("cry_pipeline")
    level = log.level
    log.setLevel(logging.ERROR)
    yield
    log.setLevel(level)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(entries, min_size=1, max_size=25))
def test_every_entry_is_a_row_in_quarantine_or_named_as_left_aside_and_nothing_raises(
    tmp_path_factory: pytest.TempPathFactory, entries: list
):
    folder = tmp_path_factory.mktemp("any")
    corpus = SmallCorpus(folder)
    for one in entries:
        put(corpus, *one)
    for file in folder.rglob("*"):
        if not file.is_symlink():
            age(file)
    inventory = take_inventory(corpus.roots, corpus.cache)
    write_inventory(inventory, folder / "inventory.parquet")
    read = read_inventory(folder / "inventory.parquet")
    assert fingerprint(read) == fingerprint(inventory)
    built = build_manifest(read, corpus.roots, corpus.cache, 2)
    write_manifest(built, folder)
    tables = read_recordings(folder / "recordings.parquet"), read_quarantine(folder / "quarantine.parquet")
    rows = {place for table in tables for place in zip(table["root"], table["path"], strict=True)}
    sidecars = {("inbox", path) for path in inventory["sidecar"].dropna()}
    aside = {(one["root"], one["path"]) for one in inventory.attrs["left_aside"]}
    assert sum(map(len, tables)) == len(rows)
    assert not rows & aside
    assert rows | aside | sidecars == everything(corpus)
    assert fingerprint(take_inventory(corpus.roots, corpus.cache)) == fingerprint(inventory)
    TRIED.update(tables[1]["reason"].tolist())
    TRIED.update(recordings=len(tables[0]), aside=len(aside))
    shutil.rmtree(folder)


@settings(max_examples=10 * EXAMPLES, deadline=None)
@given(sounds)
def test_no_bytes_make_a_probe_raise(tmp_path_factory: pytest.TempPathFactory, sound: bytes):
    file, sha256 = tmp_path_factory.getbasetemp() / "any bytes.wav", hashlib.sha256(sound).hexdigest()
    file.write_bytes(sound)
    outcome = _probe(sha256, file, _Room(len(sound)))
    TRIED[outcome.reason if isinstance(outcome, Refusal) else "probed"] += 1
    assert outcome != CHANGED
    if isinstance(outcome, Refusal):
        outcome.detail.encode()


@given(st.binary(max_size=60).filter(lambda name: b"\0" not in name), st.binary(max_size=60))
def test_any_path_is_found_again_and_no_two_are_written_alike(one: bytes, other: bytes):
    first, second = os.fsdecode(one), os.fsdecode(other)
    shown = printable(first)
    shown.encode()
    assert unprintable(shown) == first
    assert (printable(second) == shown) == (first == second)
