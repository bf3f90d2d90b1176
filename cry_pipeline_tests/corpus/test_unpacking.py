"""What a stranger packed is unpacked whole, or refused before anything is written, and never by a raw exception."""

import io
import os
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from cry_pipeline.corpus import unpacking
from cry_pipeline.corpus.unpacking import Archive, ArchiveError, copy_at_most
from cry_pipeline_tests.corpus.archive_server import FILES, TOP, archive


def opened(content: bytes, folder: Path) -> list[str]:
    """Unpack all files of ``content`` and return their names, sorted."""
    path = folder / "content.zip"
    path.write_bytes(content)
    with Archive(path) as members:
        members.unpack(members.names, folder / "unpacked")
        return sorted(members.names)


def entry(name: str, mode: int = stat.S_IFREG | 0o644, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """A member of an archive, whatever it is called."""
    info = zipfile.ZipInfo("a")
    info.filename, info.external_attr, info.compress_type = name, mode << 16, method
    return info


def with_entry(member: zipfile.ZipInfo, data: bytes = b"evil") -> bytes:
    content = io.BytesIO(archive())
    with zipfile.ZipFile(content, "a") as packed:
        packed.writestr(member, data)
    return content.getvalue()


def test_plain_files_in_one_folder_are_unpacked(tmp_path: Path) -> None:
    assert opened(archive(), tmp_path) == sorted(FILES)
    assert {name: (tmp_path / "unpacked" / name).read_bytes() for name in FILES} == FILES


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive())
    with Archive(tmp_path / "a.zip") as members:
        members.unpack(["README.md"], tmp_path / "unpacked")
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (entry(f"{TOP}/../../evil.wav"), r"it holds '.*evil\.wav', which may lie elsewhere"),
        (entry("/tmp/evil.wav"), r"it holds '/tmp/evil\.wav', which may lie elsewhere"),  # noqa: S108
        (entry(f"{TOP}\\..\\..\\evil.wav"), "elsewhere"),
        (entry("C:evil.wav"), "elsewhere"),
        (entry(f"{TOP}//evil.wav"), "elsewhere"),
        (entry(f"{TOP}/./evil.wav"), "elsewhere"),
        (entry(f"{TOP}/link", stat.S_IFLNK | 0o777), "neither a file nor a folder"),
        (entry(f"{TOP}/pipe", stat.S_IFIFO | 0o644), "neither a file nor a folder"),
        (entry(f"{TOP}/device", stat.S_IFCHR | 0o644), "neither a file nor a folder"),
        (entry(f"{TOP}/folder.wav", stat.S_IFDIR | 0o755), "neither a file nor a folder"),
        (entry(f"{TOP}/file/", stat.S_IFREG | 0o644), "neither a file nor a folder"),
        (entry(f"{TOP}/\x1b[31mred.wav"), r"'.*\\x1b\[31mred\.wav', which has control characters"),
        (entry(f"{TOP}/a\nb.wav"), "control characters"),
        (entry(f"{TOP}/\u202egpw.exe"), "control characters"),
        (entry(f"{TOP}/{'a' * 300}.wav"), "too long or too deep"),
        (entry(f"{TOP}/{'a/' * 20}b.wav"), "too long or too deep"),
        (entry(f"{TOP}/readme.MD"), "only in case"),
        (entry(f"{TOP.upper()}/x.wav"), "2 top-level entries"),
        (entry("elsewhere/evil.wav"), "2 top-level entries"),
        (entry(f"{TOP}/README.md/evil.wav"), "both a file and a folder"),
        (entry(f"{TOP}/b.wav", method=zipfile.ZIP_BZIP2), "unusual method"),
        (entry(f"{TOP}/l.wav", method=zipfile.ZIP_LZMA), "unusual method"),
    ],
    ids=lambda value: ascii(value.filename[-20:]) if isinstance(value, zipfile.ZipInfo) else "",
)
def test_an_unsafe_member_is_refused(tmp_path: Path, member: zipfile.ZipInfo, said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        opened(with_entry(member), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["content.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="twice"):
        opened(with_entry(entry(f"{TOP}/README.md")), tmp_path)


def test_names_that_differ_in_how_they_are_composed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="twice"):
        opened(archive({"\u00e4.wav": b"", "a\u0308.wav": b""}), tmp_path)


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x40])
def test_an_encrypted_member_is_refused(tmp_path: Path, bit: int) -> None:
    content = bytearray(archive())
    content[content.rindex(b"PK\x01\x02") + 8] |= bit
    with pytest.raises(ArchiveError, match="encrypted"):
        opened(bytes(content), tmp_path)


def packed(files: dict[str, bytes]) -> bytearray:
    """A deflated archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(f"{TOP}/{name}", data)
    return bytearray(content.getvalue())


@pytest.mark.parametrize(("limit", "most"), [("MAX_MEMBERS", 4), ("MAX_BYTES", 24_000), ("MAX_CONTENTS_BYTES", 300)])
def test_an_archive_that_would_fill_disk_or_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(unpacking, limit, most)
    with pytest.raises(ArchiveError, match="far larger than the corpus"):
        opened(archive(), tmp_path)


def test_a_bomb_is_refused_for_its_ratio(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"\d+ bytes would become 1000000"):
        opened(bytes(packed({"zeros.wav": bytes(1_000_000)})), tmp_path)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    content = packed({name: os.urandom(2000) for name in ("a.wav", "b.wav")})
    place = content.rindex(b"PK\x01\x02")
    content[place + 42 : place + 46] = bytes(4)  # the last entry points to the first's bytes
    with pytest.raises(ArchiveError, match="shares bytes with another"):
        opened(bytes(content), tmp_path)


def test_a_size_that_lies_is_found_out_without_writing_more_than_it_says(tmp_path: Path) -> None:
    content = packed({"a.wav": bytes(range(256)) * 40})
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature)
        content[place + offset : place + offset + 4] = struct.pack("<I", 100)
    with pytest.raises(ArchiveError, match="is damaged"):
        opened(bytes(content), tmp_path)
    assert (tmp_path / "unpacked" / "a.wav").stat().st_size <= 100


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 2**40])
def test_a_zip64_size_that_lies_is_refused(tmp_path: Path, size: int) -> None:
    content = packed({"a.wav": b"abc"})
    place = content.rindex(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, size)
    content[place + 24 : place + 28] = b"\xff" * 4
    content[place + 30 : place + 32] = struct.pack("<H", len(extra))
    end = content.rindex(b"PK\x05\x06")
    content[end:end] = extra
    listed = end + len(extra)
    content[listed + 12 : listed + 16] = struct.pack("<I", listed - place)
    with pytest.raises(ArchiveError, match="far larger"):
        opened(bytes(content), tmp_path)


def test_copying_ends_at_the_size_that_was_said() -> None:
    copy = io.BytesIO()
    copy_at_most(io.BytesIO(bytes(1000)), copy, 1000)
    assert len(copy.getvalue()) == 1000
    with pytest.raises(ArchiveError, match="longer than the 999 bytes"):
        copy_at_most(io.BytesIO(bytes(1000)), copy, 999)


def test_a_full_disk_is_not_taken_for_a_damaged_archive(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"), unpacking.damage_named():
        copy_at_most(io.BytesIO(b"a"), Full(), 1)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_change_of_an_archive_ends_in_a_raw_exception(tmp_path: Path) -> None:
    """zipfile raises nine kinds; 2,000 archives with changed bytes, most of them in the list of members."""
    chance = random.Random(0)  # noqa: S311
    whole = [
        bytes(packed({"\u00e4.wav": bytes(500), "b.wav": b"b" * 40})),
        archive({"\u00e4.wav": b"ab", "c.wav": b"c"}),
    ]
    refused = 0
    for number in range(2000):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.choice([1, 1, 3])):
            place = -1 - min(int(chance.expovariate(0.008)), len(content) - 1)
            content[place] = chance.choice([0, 255, chance.randrange(256)])
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            opened(bytes(content), folder)
        except ArchiveError:
            refused += 1
    assert refused > 1000
    assert {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob("?*.*")} == {"content.zip", "unpacked"}
