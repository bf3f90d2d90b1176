"""Each file of the data folder loses what tells, and as little else as can be."""

import pandas as pd
import pytest

from cry_pipeline.artefacts import provenance, read_json, read_table, write_json, write_table
from cry_pipeline.donations.traces import Traces, find_traces
from cry_pipeline.donations.withdrawn_files import from_places, in_files
from cry_pipeline.settings import Settings

DONOR, OTHER = "0a1b2c3d-0000-4000-8000-00000000000a", "9f8e7d6c-0000-4000-8000-00000000000b"
RECORDING = "0123456789abcdef" * 4
TRACES = Traces((DONOR,), (RECORDING,))


def forget(settings: Settings, *, change: bool = True) -> dict[str, str]:
    return {item.place: item.what for item in in_files(settings, TRACES, [], change=change)}


def test_a_table_loses_the_rows_that_tell_and_keeps_its_digest_types_and_other_rows(settings):
    table = pd.DataFrame({"sha256": [RECORDING, "f" * 64], "frames": [1, 2], "at": pd.to_datetime(["2026-01-01"] * 2)})
    table.attrs = {"left_aside": [{"path": f"{DONOR}.part"}]}
    path = settings.cache / "probes.parquet"
    write_table(path, table, "d" * 64, first=RECORDING, other=1)
    before = path.read_bytes()
    assert forget(settings, change=False) == {"cache/probes.parquet": "1 of 2 rows taken out"}
    assert path.read_bytes() == before
    forget(settings)
    left = read_table(path)
    pd.testing.assert_frame_equal(left, table.iloc[1:].reset_index(drop=True))
    assert (left.attrs, provenance(path)["digest"], provenance(path)["inputs"]) == ({}, "d" * 64, {})
    assert forget(settings) == {}


def test_a_damaged_table_goes_whole(settings):
    settings.cache.mkdir(parents=True)
    (settings.cache / "probes.parquet").write_text(f"no table, but {DONOR}")
    assert forget(settings) == {"cache/probes.parquet": "removed, it is damaged"}
    assert not list(settings.cache.iterdir())


def test_a_sample_loses_one_entry_and_a_judgement_goes_whole(settings):
    drawn = [{"recording_id": RECORDING, "donor": DONOR}, {"recording_id": "f" * 64, "donor": OTHER}]
    write_json(settings.judgements / "samples" / "may.json", {"name": "may", "drawn": drawn})
    write_json(settings.judgements / f"{'a' * 64}.json", {"recording_id": RECORDING})
    write_json(settings.judgements / f"{'b' * 64}.json", {"recording_id": "f" * 64})
    assert set(forget(settings).values()) == {"entries taken out", "removed"}
    assert read_json(settings.judgements / "samples" / "may.json") == {"name": "may", "drawn": drawn[1:]}
    assert [path.name[0] for path in settings.judgements.glob("*.json")] == ["b"]


def test_what_can_be_made_again_goes_whole_and_what_is_nobodys_stays(settings):
    for name in ("reports/page.html", "folds/cohort.json", "cache/archive/a", "notes/mine.txt", "reports/other.html"):
        (settings.data / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.data / name).write_text(RECORDING[:16] if name != "reports/other.html" else "nobody")
    assert forget(settings) == dict.fromkeys(("reports/page.html", "folds/cohort.json", "cache/archive/a"), "removed")
    assert {path.name for path in settings.data.rglob("*.*")} == {"mine.txt", "other.html"}


def test_a_folder_of_the_inbox_that_names_a_donor_goes_when_it_is_empty(settings):
    home = settings.inbox / "app" / DONOR
    home.mkdir(parents=True)
    (home / "cry.wav").write_bytes(b"a sound")
    (settings.inbox / "app" / "other.wav").write_bytes(b"another")
    traces = find_traces(settings, [DONOR], [])
    list(from_places(settings, traces, change=True))
    assert [path.name for path in settings.inbox.rglob("*")] == ["app", "other.wav"]


def test_of_an_inbox_in_a_bucket_object_copy_and_note_go(bucket, settings):
    settings = settings.model_copy(update={"inbox_root": f"{bucket}/inbox"})
    from cry_pipeline.corpus.mirror import Mirror

    mirror = Mirror.of(settings)
    assert mirror is not None
    mirror.bucket.write(f"{DONOR}-1.wav", b"a sound")
    mirror.bucket.write(f"{OTHER}-1.wav", b"another")
    mirror.refresh()
    traces = find_traces(settings, [DONOR], [])
    list(from_places(settings, traces, change=True))
    list(in_files(settings, traces, [], change=True))
    assert [entry.path for entry in mirror.bucket.entries()] == [f"{OTHER}-1.wav"]
    left = [path for path in settings.data.rglob("*") if path.is_file()]
    assert not [path for path in left if DONOR in path.name or DONOR.encode() in path.read_bytes()]
    assert any(path.name == f"{OTHER}-1.wav" for path in left)
    assert mirror.arrived() == []


@pytest.mark.parametrize("name", ["dagster_home/ui.log", "withdrawn/.unfinished", "features/part"])
def test_what_others_see_to_is_left_to_them(settings, name):
    (settings.data / name).parent.mkdir(parents=True)
    (settings.data / name).write_text(DONOR)
    assert forget(settings) == {}
