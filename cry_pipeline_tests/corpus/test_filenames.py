"""Names of the corpus' apps are read in full or refused with the part that is wrong."""

import json
from datetime import UTC, datetime

import pytest

from cry_pipeline.corpus.filenames import AGE_BANDS, REASONS, FilenameError, describe, parse_filename
from cry_pipeline_tests.corpus.conftest import DONOR, android

IOS = "0D1AD73E-4C5E-45F3-85C4-9A3CB71E8856-1430742197-1.0-m-04-hu.caf"
ANDROID = "0c8f14a9-6999-485b-97a2-913c1cbf099c-1431028888092-1.7-f-26-sc.3gp"


def test_ios_name_has_seconds_and_an_upper_case_uuid():
    name = parse_filename(IOS)
    assert name.donor == DONOR
    assert name.recorded_at == datetime(2015, 5, 4, 12, 23, 17, tzinfo=UTC)  # the example of the corpus' README
    assert (name.platform, name.app_version, name.gender) == ("ios", "1.0", "male")
    assert (name.age_band, name.reason_code, name.reason) == ("0-4 weeks", "hu", "hungry")
    assert name.donation_id == f"{DONOR}:1430742197000"


def test_android_name_has_milliseconds_and_a_lower_case_uuid():
    name = parse_filename(ANDROID)
    assert name.recorded_at == datetime(2015, 5, 7, 20, 1, 28, 92_000, tzinfo=UTC)
    assert (name.platform, name.gender, name.age_band, name.reason) == ("android", "female", "2-6 months", "scared")
    assert name.donation_id == "0c8f14a9-6999-485b-97a2-913c1cbf099c:1431028888092"


def test_cleaned_copy_is_of_the_same_donation():
    assert parse_filename(IOS.replace(".caf", ".wav")) == parse_filename(IOS)


@pytest.mark.parametrize(("code", "reason"), REASONS.items())
def test_every_reason_code_is_read(code, reason):
    assert parse_filename(ANDROID.replace("-sc.", f"-{code}.")).reason == reason


@pytest.mark.parametrize(("code", "band"), AGE_BANDS.items())
def test_every_age_code_is_read(code, band):
    assert parse_filename(ANDROID.replace("-26-", f"-{code}-")).age_band == band


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (
            "CF7F6316-019B-4B3C-9EE1-A62EB5F1D0EE-1426957748.47029-1-"
            "0911C8F7-99D0-4A44-BC34-894BA5D83032-f-26-ti.caf.caf",
            "expected <uuid>",
        ),
        (
            "CF7F6316-019B-4B3C-9EE1-A62EB5F1D0EE-1426958010-1.0-96274EC9-59EB-49E3-96F3-A24D498FB7C3-f-26-ti.caf.caf",
            "expected <uuid>",
        ),
        ("baby.wav", "expected <uuid>"),
        (f"{IOS}\n", "expected <uuid>"),
        (IOS.replace("1430742197", "١٤٣٠٧٤٢١٩٧"), "expected <uuid>"),
        (IOS.replace("1430742197", "143074219700"), "neither 10 digits"),
        (IOS.replace("1430742197", "1430742197000"), "case of uuid"),
        (IOS.lower(), "case of uuid"),
        (ANDROID.replace("1431028888092", "9999999999999"), "not a time between 2000 and 2100"),
        (IOS.replace("1430742197", "0000000001"), "not a time between 2000 and 2100"),
        (ANDROID.replace("-1.7-", "-1.x-"), "app version '1.x'"),
        (ANDROID.replace("-f-", "-x-"), "gender 'x' is not one of m, f"),
        (ANDROID.replace("-26-", "-27-"), "age '27'"),
        (ANDROID.replace("-sc.", "-zz."), "reason 'zz'"),
    ],
)
def test_odd_name_is_refused_and_the_part_named(name, fault):
    with pytest.raises(FilenameError, match=fault) as error:
        parse_filename(name)
    assert str(error.value).startswith(name)


def test_all_faults_are_named_at_once():
    with pytest.raises(FilenameError, match=r"gender 'x'.*age '99'.*reason 'zz'"):
        parse_filename(f"{DONOR}-1431028888092-1.7-x-99-zz.3gp")


def test_sidecar_replaces_only_what_it_tells():
    told = describe(ANDROID, b'{"reason": "tired", "gender": null}')
    assert (told.reason_code, told.gender) == ("ti", None)
    assert told.model_dump(exclude={"reason_code", "gender"}) == parse_filename(ANDROID).model_dump(
        exclude={"reason_code", "gender"}
    )


def test_sidecar_stands_in_for_an_odd_name():
    content = {"donor": DONOR.upper(), "recorded_at": "2026-01-02T03:04:05.678+01:00", "platform": "ios"}
    name = describe("baby.wav", json.dumps(content | {"reason_code": "bp"}).encode())
    assert (name.donor, name.reason, name.age_band) == (DONOR, "belly_pain", None)
    assert name.recorded_at == datetime(2026, 1, 2, 2, 4, 5, 678_000, tzinfo=UTC)
    assert name.recorded_at.tzinfo == UTC
    assert name.donation_id.endswith(":1767319445678")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "Invalid JSON"),
        ("[]", "expected one JSON object"),
        ("null", "expected one JSON object"),
        ("", "Invalid JSON"),
        ('{"reason": "tired", "reason": "hungry"}', "'reason' comes more than once"),
        ('{"mood": {"a": 1, "a": 2}}', "'a' comes more than once"),
        ('{"recorded_at": NaN}', "NaN is no number"),
        ('{"recorded_at": -Infinity}', "-Infinity is no number"),
        ('{"recorded_at": 1e999}', "recorded_at"),
        ('{"recorded_at": ' + "9" * 5000 + "}", "Invalid JSON: 9{30}… is a number of 5000 characters"),
        ('{"recorded_at": 0.' + "9" * 5000 + "}", "Invalid JSON: 0.9{28}… is a number of 5002 characters"),
        ('{"recorded_at": ' + "9" * 30 + "}", "recorded_at"),
        ("[" * 50_000, "nested too deeply"),
        ('{"a":' * 9 + "1" + "}" * 9, "nested too deeply"),
        ('{"a":' * 8 + "1" + "}" * 8, "a: Extra inputs"),
        ('{"a": "' + r"\"[{" * 9 + '"}', "a: Extra inputs"),
        ("{" + ",".join(f'"{n}": 1' for n in range(51)) + "}", "Invalid JSON: it has 51 keys, and 50 are read"),
        ("{" + ",".join(f'"{n}": 1' for n in range(50)) + "}", "0: Extra.*; and 45 more"),
        ('{"app_version": "' + "x" * 33 + '"}', "app_version"),
        (r'{"app_version": "\ud800"}', "app_version"),
        (r'{"\ud800": 1}', "unicode string"),
        (r'{"app_version": "1\u0000"}', "app_version"),
        (r'{"reason": "tired", "r\u0065ason": "hungry"}', "'reason' comes more than once"),
        (r'{"app_version": "1.0\n"}', "app_version"),
        ('{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1}', "e: Extra.*; and 2 more"),
        ('{"mood": "bad"}', "mood: Extra inputs"),
        ('{"reason": "hungry", "reason_code": "ti"}', "contradict each other"),
        ('{"recorded_at": "2026-01-02T03:04:05"}', "recorded_at: .*timezone"),
        ('{"recorded_at": "1815-01-02T03:04:05Z"}', "not a time between"),
        ('{"age_band": "04"}', "age_band"),
        ('{"donor": "me"}', "donor"),
        ('{"reason": "ti"}', "reason"),
    ],
)
def test_malformed_sidecar_is_refused_also_beside_a_good_name(content, fault):
    with pytest.raises(FilenameError, match=fault):
        describe(ANDROID, content.encode())


def test_odd_name_needs_a_sidecar_that_tells_enough():
    with pytest.raises(FilenameError, match=r"donor: Field required.*recorded_at: Field required"):
        describe("baby.wav", b'{"reason": "tired", "platform": "ios"}')


def test_small_corpus_names_follow_the_convention():
    assert parse_filename(f"{android()}.3gp").donor == DONOR


@pytest.mark.corpus
def test_all_but_two_names_of_the_corpus_are_read(corpus):
    names = [file.name for file in corpus.glob("donateacry*/**/*") if file.suffix in {".wav", ".3gp", ".caf"}]
    odd = []
    for name in names:
        try:
            parse_filename(name)
        except FilenameError:
            odd.append(name)
    assert len(names) == 457 + 888
    assert [name[:8] for name in odd] == ["CF7F6316"] * 2
