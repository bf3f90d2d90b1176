"""What is withdrawn is gone from a data root in a bucket, too: from its files of now, and of before."""

from pathlib import Path

from cry_pipeline.corpus.tombstones import UNFINISHED
from cry_pipeline.donations.byte_search import Finder
from cry_pipeline.donations.withdrawal import forget_in_root, search
from cry_pipeline.settings import Settings
from cry_pipeline.storage.root import DataRoot

DONOR = b"11111111-2222-4333-8444-555555555555"


def places(settings: Settings, find: Finder) -> list[str]:
    return sorted(hit.place.replace(str(settings.data), "data") for hit in search(settings, find))


def test_old_contents_are_found_and_go(bucket: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", data_root=f"{bucket}/root")
    root = DataRoot.of(settings)
    assert root is not None

    def find(data: bytes) -> set[str]:
        return {"the donor"} if DONOR in data else set()

    page = settings.reports / "donations.html"
    page.parent.mkdir(parents=True)
    for text in (b"before " + DONOR, b"now " + DONOR, b"nobody"):
        page.with_name(".new").write_bytes(text)
        page.with_name(".new").replace(page)
        root.push()
    settings.withdrawn.mkdir()
    (settings.withdrawn / UNFINISHED).write_bytes(DONOR)
    root.push()
    root.bucket.write(f"inbox/{DONOR.decode()}.wav", b"a sound")
    found = places(settings, find)
    assert len(found) == 3
    assert all("root/files/reports/donations.html/" in place for place in found[:2])
    assert found[2].endswith(f"root/inbox/{DONOR.decode()}.wav")
    (settings.withdrawn / UNFINISHED).unlink()
    root.bucket.remove(f"inbox/{DONOR.decode()}.wav")
    forget_in_root(settings)
    assert places(settings, find) == []
    assert not [one.path for one in root.bucket.objects() if DONOR in root.bucket.read(one.path)]
    assert [*root.tree().files] == ["reports/donations.html"]
