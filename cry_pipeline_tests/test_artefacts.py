"""Tables are found current only when digest and bytes are the ones that were written."""

import pandas as pd
import pytest

from cry_pipeline.artefacts import (
    DamagedTableError,
    is_current,
    provenance_path,
    read_table,
    table_digest,
    write_atomically,
    write_table,
)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "folds" / "table.parquet"
    write_table(path, pd.DataFrame({"recording_id": ["a", "b"]}), "digest-1", cohort="cleaned")
    return path


def test_table_is_current_under_its_digest_only(written):
    assert is_current(written, "digest-1")
    assert not is_current(written, "digest-2")


def test_changed_bytes_are_noticed(written):
    damaged = bytearray(written.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    written.write_bytes(damaged)
    assert not is_current(written, "digest-1")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_unreadable_provenance_means_made_again_and_is_said(written, content, caplog):
    provenance_path(written).write_text(content)
    assert not is_current(written, "digest-1")
    assert "made again" in caplog.text


def test_table_is_read_only_as_it_was_written(written):
    assert read_table(written)["recording_id"].tolist() == ["a", "b"]
    written.write_bytes(written.read_bytes().replace(b"PAR1", b"PAR2"))
    with pytest.raises(DamagedTableError, match="is not what was written: materialize table again"):
        read_table(written)
    provenance_path(written).unlink()
    with pytest.raises(DamagedTableError, match=r"provenance\.json cannot be read"):
        read_table(written)


def test_missing_file_is_not_current(written):
    written.unlink()
    assert not is_current(written, "digest-1")


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_table_digest_takes_in_names_values_and_order():
    table = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2015-03-01", "2015-03-02"], utc=True)})
    same = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2015-03-01", "2015-03-02"], utc=True)}, index=[7, 9])
    assert table_digest(table) == table_digest(same)
    others = [table.rename(columns={"a": "b"}), table.assign(a=[2, 1]), table.iloc[::-1], table[["t", "a"]]]
    assert len({table_digest(other) for other in [table, *others]}) == 5
