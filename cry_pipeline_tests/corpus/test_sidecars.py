"""A sidecar names a file of the inbox, and no other."""

import json

import pandas as pd
import pytest

from cry_pipeline.corpus.manifest import (
    build_manifest,
)
from cry_pipeline.corpus.sources import take_inventory
from cry_pipeline_tests.corpus.conftest import DONOR, UPLOAD, android, only


@pytest.mark.parametrize("text", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_sidecar_is_read_as_editors_on_windows_write_it(small, text):
    small.write("inbox/baby.wav")
    told = {"donor": DONOR, "recorded_at": "2026-01-02T03:04:05Z", "platform": "ios", "reason": "tired"}
    (small.folder / "inbox" / "baby.wav.JSON").write_bytes(json.dumps(told).encode(text))
    assert only(small.build().recordings)["reason"] == "tired"


def test_sidecar_names_an_inbox_file(small):
    small.write("inbox/baby.wav")
    told = {"donor": DONOR, "recorded_at": "2026-01-02T03:04:05Z", "platform": "ios", "reason": "tired"}
    (small.folder / "inbox" / "baby.json").write_text(json.dumps(told))
    row = only(small.build().recordings)
    assert (row["reason"], row["reason_code"], row["source"]) == ("tired", "ti", "inbox")
    assert pd.isna(row["gender"])


def test_odd_name_says_which_sidecar_it_looked_for(small):
    small.write("inbox/baby.wav")
    small.write("inbox/baby.wav.json.txt").write_text("what an editor makes of it that hides extensions")
    odd = small.build().quarantine.set_index("path").loc["baby.wav", "detail"]
    assert str(odd).endswith("There is no sidecar baby.wav.json, either.")


def test_malformed_sidecar_is_refused_with_its_fault(small):
    small.write(f"inbox/{android()}.wav")
    (small.folder / "inbox" / f"{android()}.wav.json").write_text('{"mood": "bad"}')
    row = only(small.build().quarantine)
    assert row["reason"] == "odd_name"
    assert "mood: Extra inputs are not permitted" in row["detail"]


def test_sidecar_changed_after_the_inventory_is_not_believed(small):
    small.write(f"inbox/{android()}.wav")
    sidecar = small.folder / "inbox" / f"{android()}.json"
    sidecar.write_text('{"reason": "tired"}')
    inventory = take_inventory(small.roots, small.cache)
    sidecar.write_text('{"reason": "hungry"}')
    assert only(build_manifest(inventory, small.roots, small.cache).quarantine)["reason"] == "changed"
    sidecar.unlink()
    assert only(build_manifest(inventory, small.roots, small.cache).quarantine)["reason"] == "changed"


def test_sidecars_are_for_the_inbox_only(small):
    small.write(UPLOAD)
    (small.folder / UPLOAD).with_suffix(".json").write_text('{"reason": "tired"}')
    assert only(small.build().recordings)["reason"] == "hungry"
