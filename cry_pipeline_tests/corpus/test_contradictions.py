"""Labels that do not agree are said, and change nothing."""

from cry_pipeline.corpus import intake
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, DONOR, android, tone


def test_duplicate_of_another_label_or_donor_says_so(small, caplog):
    other = DONOR.replace("0", "1")
    small.write(f"inbox/1/{android(1_430_000_000_000, 'hu')}.wav", tone())
    small.write(f"inbox/2/{android(1_430_000_000_000, 'ti')}.wav", tone())
    small.write(f"inbox/3/{android(1_430_000_000_000, 'hu', other)}.wav", tone())
    taken = small.take_in()
    details = small.build().quarantine["detail"].tolist()
    assert details[0].endswith(f"/{android()}.wav, which says hungry where this one says tired.")
    assert details[1].endswith(f"which says donor {DONOR} where this one says donor {other}.")
    said = [sentence.partition(": ")[2] for sentence in taken.contradictions]
    assert [sentence.rpartition("/")[2] for sentence in said] == [detail.rpartition("/")[2] for detail in details]
    assert said[0] in caplog.text


def test_file_moved_into_the_folder_of_another_label_is_said_and_its_name_counts(small, caplog):
    names = [f"{android(1_430_000_000_000 + number)}.wav" for number in range(6)]
    for name in (*names[:4], names[5]):
        small.write(f"corpus/{CLEANED}/tired/{name}")
    small.write(f"corpus/{CLEANED}/hungry/{names[4]}")
    small.write(f"inbox/monday/{android(1_430_000_000_007)}.wav")
    built = small.build()
    places = ", ".join(f"{CLEANED}/tired/{name}" for name in names[:3])
    said = f"5 files lie in tired/ and are named hungry: {places} and 2 more. The name counts."
    assert built.contradictions == (said,)
    assert set(built.recordings["reason"]) == {"hungry"}
    assert "5 files lie in tired/" in caplog.text


def test_reasons_that_the_curators_put_together_are_no_contradiction(small):
    small.write(f"corpus/{CLEANED}/discomfort/{android(reason='ch')}.wav")
    assert small.build().contradictions == ()


def test_one_donation_or_one_sound_under_two_reasons_is_said(small):
    small.write(f"corpus/{ANDROID}/{android(1_430_000_000_000, 'hu')}.3gp")
    small.write(f"corpus/{CLEANED}/tired/{android(1_430_000_000_000, 'ti')}.wav")
    small.write(f"inbox/{android(1_430_000_000_001, 'hu')}.wav", tone())
    same_sound = small.write(f"inbox/{android(1_430_000_000_002, 'bu')}.wav", tone())
    same_sound.write_bytes(same_sound.read_bytes() + b"LIST\x04\0\0\0abcd")
    donation, sound = small.build().contradictions
    assert donation.startswith("2 recordings of one donation are named hungry and tired: ")
    assert sound.startswith(f"2 recordings of one sound are named burping and hungry: {android(1_430_000_000_001)}.wav")


def test_of_any_number_of_contradictions_the_first_are_logged(small, caplog, monkeypatch):
    monkeypatch.setattr(intake, "SAID", 2)
    for number in range(4):
        small.write(f"inbox/{number}/{android(1_430_000_000_000, ('hu', 'ti', 'bu', 'dc')[number])}.wav", tone())
    taken = small.take_in()
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(taken.contradictions) == 3
    assert said == [*taken.contradictions[:2], "and 1 more contradictions of labels"]
