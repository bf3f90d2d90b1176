"""What was withdrawn stays out, and no table, cache or ledger names it again."""

import json
from pathlib import Path

import pytest

from cry_pipeline.corpus.manifest import write_manifest
from cry_pipeline.corpus.sources import write_inventory
from cry_pipeline.corpus.tombstones import Tombstones, add_tombstones, read_tombstones
from cry_pipeline.digests import sha256_of
from cry_pipeline_tests.corpus.conftest import ANDROID, DONOR, SmallCorpus, android, only, tone, write

OTHER = DONOR.replace("0", "1")


def withdrawn(small: SmallCorpus, donors: tuple[str, ...] = (), recordings: tuple[str, ...] = ()) -> Tombstones:
    folder, secret = small.folder / "withdrawn", small.folder / "secret.json"
    add_tombstones(folder, secret, donors=donors, recordings=recordings, reason="they moved")
    return read_tombstones(folder, secret)


def written(small: SmallCorpus, stones: Tombstones) -> bytes:
    """All bytes of the tables and caches of an ingestion."""
    built = small.build(stones)
    write_manifest(built, small.folder / "manifests")
    write_inventory(small.inventory(stones), small.folder / "manifests" / "inventory.parquet")
    files = [*(small.folder / "manifests").rglob("*"), *small.cache.rglob("*")]
    return b"".join(file.read_bytes() for file in files if file.is_file())


@pytest.mark.parametrize("by", ["donor", "donor in the sidecar", "recording", "donor in an odd name"])
def test_a_withdrawn_file_that_comes_again_is_refused_and_named_nowhere(small: SmallCorpus, by: str) -> None:
    name = {"donor in the sidecar": "baby.wav", "donor in an odd name": f"of-{DONOR}.wav"}.get(by, f"{android()}.wav")
    data = small.write(f"inbox/{name}").read_bytes()
    if by == "donor in the sidecar":
        told = {"donor": DONOR.upper(), "recorded_at": "2026-01-02T03:04:05Z"}
        write(small.folder / "inbox" / "baby.json", json.dumps(told).encode())
    donors, recordings = ((), (sha256_of(data),)) if by == "recording" else ((DONOR,), ())
    stones = withdrawn(small, donors, recordings)
    row = only(small.build(stones).quarantine)
    assert (row["reason"], row["root"]) == ("withdrawn", "inbox")
    assert row["detail"].endswith("they moved.")
    assert row["path"] == stones.masked(name)
    assert (small.folder / "inbox" / name).exists()
    assert small.inventory(stones).attrs["arrived"] == []
    seen = written(small, stones)
    assert DONOR.encode() not in seen
    assert small.archive.listing() == []
    if by == "recording":
        assert sha256_of(data).encode() not in seen


def test_who_is_withdrawn_after_a_refusal_is_named_by_it_no_longer(small: SmallCorpus) -> None:
    small.write(f"inbox/{android()}.wav", tone(0.5))
    small.build()
    stones = withdrawn(small, (DONOR,))
    assert len(small.inventory(stones)) == 0
    assert len(small.inventory(stones).attrs["arrived"]) == 1
    assert only(small.build(stones).quarantine)["reason"] == "withdrawn"
    assert DONOR.encode() not in written(small, stones)


@pytest.mark.parametrize("by", ["donor", "recording"])
def test_withdrawn_files_of_corpus_and_archive_are_left_out_without_a_name(small: SmallCorpus, by: str) -> None:
    gone = small.write(f"corpus/{ANDROID}/{android()}.3gp", tone(hz=300))
    donated = small.write(f"inbox/{android()}.wav", tone(hz=301)).read_bytes()
    small.write(f"corpus/{ANDROID}/{android(donor=OTHER)}.3gp", tone(hz=302))
    small.write(f"inbox/{android(donor=OTHER)}.wav", tone(hz=303))
    small.take_in()
    ids = sha256_of(gone.read_bytes()), sha256_of(donated)
    stones = withdrawn(small, *(((DONOR,), ()) if by == "donor" else ((), ids)))
    (small.cache / "hashes.parquet").unlink()
    built = small.build(stones)
    assert built.recordings["donor"].tolist() == [OTHER, OTHER]
    aside = small.inventory(stones).attrs["left_aside"]
    assert [(one["root"], one["path"]) for one in aside] == [("corpus", "(withdrawn)"), ("archive", "(withdrawn)")]
    (small.cache / "probes.parquet").unlink()
    seen = written(small, stones)
    if by == "recording":
        assert not [one for one in ids if one.encode() in seen.replace(b".json", b"")]
    else:
        assert DONOR.encode() not in seen
    assert Path(gone).exists(), "the corpus is not ours to change"


def test_a_file_left_aside_that_names_who_was_withdrawn_is_not_named(small: SmallCorpus) -> None:
    write(small.folder / "inbox" / f"{android()}.wav.part", b"half")
    aside = small.inventory(withdrawn(small, (DONOR,))).attrs["left_aside"]
    assert [one["path"] for one in aside] == ["(withdrawn)"]
