"""What asset pages say: what is there, in numbers that people read, with columns that say what they mean."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from cry_pipeline.orchestration.reporting import column_schema, rounded, table
from cry_pipeline.tables import Schema, integer


def metadata_by_asset(run: Any) -> dict[str, Mapping[str, Any]]:
    events = [event.materialization for event in run.get_asset_materialization_events()]
    return {event.asset_key.to_user_string(): event.metadata for event in events}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.123456, 0.1235), (123456.7, 123500.0), (5, 5), (True, True), ("0.123456", "0.123456"), (None, None)],
)
def test_numbers_have_the_digits_that_people_read(value, shown):
    assert rounded(value) == shown
    cell = table(pd.DataFrame({"a": [value]}, dtype=object)).records[0].data["a"]
    assert cell == shown


def test_columns_say_what_they_mean_where_it_is_known():
    schema = Schema("a table", {"n": integer("how many")})
    columns = column_schema(pd.DataFrame({"n": [1], "m": [2]}), schema).columns
    assert [(column.name, column.type, column.description) for column in columns] == [
        ("n", "int64", "how many"),
        ("m", "int64", None),
    ]


def test_every_asset_says_how_large_it_is_and_how_long_it_took(first_run):
    for asset, metadata in metadata_by_asset(first_run[1]).items():
        assert metadata["duration_s"].value >= 0, asset
        assert metadata["size_mb"].value > 0, asset
        numbers = [entry.value for entry in metadata.values() if isinstance(entry.value, float)]
        assert numbers == [rounded(number) for number in numbers], asset
    took = {asset: metadata["duration_s"].value for asset, metadata in metadata_by_asset(first_run[1]).items()}
    assert max(took, key=lambda asset: took[asset]).startswith(("features/", "runs/", "models/", "reports/"))
    assert sum(took.values()) > 1


def test_every_column_of_every_table_says_what_it_means(first_run):
    found = metadata_by_asset(first_run[1])
    schemas = {
        name: entry["dagster/column_schema"] for name, entry in found.items() if "dagster/column_schema" in entry
    }
    assert {"raw/inventory", "manifests/recordings", "manifests/quarantine", "reports/leaderboard"} <= set(schemas)
    for name, entry in schemas.items():
        assert not [column.name for column in entry.value.columns if not column.description], name


def test_leaderboard_is_nine_columns_wide_and_its_verdict_third(first_run):
    found = metadata_by_asset(first_run[1])["reports/leaderboard"]["leaderboard"]
    assert isinstance(found, dg.TableMetadataValue)
    columns = [column.name for column in found.schema.columns]
    assert len(columns) == 9
    assert columns[2] == "verdict"
    assert columns.index("majority_rate") == columns.index("accuracy") + 1
    for metadata in metadata_by_asset(first_run[1]).values():
        for name, entry in metadata.items():
            if isinstance(entry, dg.TableMetadataValue):
                assert len(entry.schema.columns) <= 9, name


def test_pages_are_addresses_that_open(first_run):
    installation, run = first_run
    found = metadata_by_asset(run)
    site = f"{installation.settings.site_address}/"
    pages = {name: entry["page"].value for name, entry in found.items() if "page" in entry}
    assert {name for name in found if name.startswith(("reports/", "evidence/"))} <= set(pages)
    for name, address in pages.items():
        assert address.startswith(site), name
        assert (installation.settings.reports / address.removeprefix(site)).is_file(), name


def test_features_and_runs_say_what_they_were_made_with(first_run):
    found = metadata_by_asset(first_run[1])
    features = found["features/mel64_8k"]
    assert features["parameters"].value["mels"] == 64
    assert features["parts"].value >= 1
    run = found["runs/curation/donor_grouped/lfeb_attention_lstm"]
    assert run["parameters"].value["epochs"] == 1
    assert run["training_s"].value > 0
    evidence = found["evidence/curation/donor_grouped/lfeb_attention_lstm"]
    assert evidence["score"].value.startswith("AUC 0.")
    assert list(evidence)[:2] == ["score", "verdict"]
