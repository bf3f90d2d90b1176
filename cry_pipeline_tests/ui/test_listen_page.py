"""A sound from the microphone or a file is answered, and whoever cannot be answered is told why."""

import base64
import io
import wave
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from cry_pipeline.corpus.decoding import decode_bytes
from cry_pipeline_tests.corpus.audio_files import wav
from cry_pipeline_tests.ui.small_site import TONE, SmallSite

pytestmark = pytest.mark.ui

RECORD = """async type => {
    if (!MediaRecorder.isTypeSupported(type)) return null;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const [recorder, parts] = [new MediaRecorder(stream, { mimeType: type }), []];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    recorder.stop();
    await stopped;
    stream.getTracks().forEach((track) => track.stop());
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""
KEEP = """() => {
    const ask = window.fetch;
    window.fetch = (address, options) => { window.sent = options.body; return ask(address, options); };
}"""
SENT = """async () => {
    const bytes = new Uint8Array(await window.sent.arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""
DROP = """([place, name, content]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
    document.querySelector(place).dispatchEvent(
        new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def listening(visitor: Page, small: SmallSite) -> Page:
    """The page listen."""
    visitor.goto(f"{small.address}listen")
    return visitor


def answer(page: Page) -> str:
    """Wait for the answer, which gets the focus, and return it."""
    expect(page.locator("#outcome")).to_be_focused()
    return page.locator("#outcome").inner_text()


def test_what_the_microphone_hears_is_answered(listening: Page) -> None:
    listening.evaluate(KEEP)
    listening.get_by_role("button", name="Record").press("Enter")
    expect(listening.get_by_role("status")).to_have_text("Recording.")
    expect(listening.get_by_role("timer")).to_have_text("2 s")
    listening.get_by_role("button", name="Stop, and ask").press("Enter")
    assert "cry (" in answer(listening) or "cannot be told" in answer(listening)
    expect(listening.get_by_role("button", name="Record")).to_be_enabled()
    with wave.open(io.BytesIO(base64.b64decode(listening.evaluate(SENT)))) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 2**15
        assert file.getnchannels() == 1
        assert 1.5 < file.getnframes() / file.getframerate() < 5
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size)))
        assert abs(spectrum.argmax() * file.getframerate() / heard.size - 440) < 5, "the tone that the microphone hears"
    assert 1.5 < listening.locator("#player").evaluate("player => player.duration") < 5


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_file_is_answered(listening: Page, tmp_path: Path, way: str) -> None:
    path = tmp_path / "<b>tone.wav"
    path.write_bytes(wav(TONE, 48_000))
    if way == "chosen":
        listening.get_by_label("or choose a file").set_input_files(path)
    else:
        listening.evaluate(DROP, ["#drop", path.name, base64.b64encode(path.read_bytes()).decode()])
    answer(listening)
    rows = listening.get_by_role("table").get_by_role("row")
    assert rows.nth(1).inner_text().split("\t")[:2] == ["0.0 s", "5.0 s"]
    expect(listening.locator("#reason")).to_contain_text("eason")
    expect(listening.locator("#bundle")).to_have_text("a" * 16)


@pytest.mark.parametrize("kind", ["audio/webm;codecs=opus", "audio/mp4"])
def test_what_a_browser_recorded_is_decoded(listening: Page, kind: str) -> None:
    recorded = listening.evaluate(RECORD, kind)
    if recorded is None:
        pytest.skip(f"this browser does not record {kind}")
    audio = decode_bytes(base64.b64decode(recorded))
    assert 1 < audio.samples.size / audio.sample_rate_hz < 3
    listening.evaluate(DROP, ["body", "recorded", recorded])
    answer(listening)


def test_what_is_no_sound_is_said(listening: Page, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"<h1>no sound</h1>" * 99)
    listening.get_by_label("or choose a file").set_input_files(tmp_path / "a.wav")
    expect(listening.get_by_role("alert")).to_contain_text("This recording ")
    expect(listening.locator("#answer")).to_be_hidden()


def test_microphone_that_is_refused_is_said(listening: Page) -> None:
    listening.evaluate(
        """() => { navigator.mediaDevices.getUserMedia =
            () => Promise.reject(new DOMException("no", "NotAllowedError")); }"""
    )
    listening.get_by_role("button", name="Record").click()
    expect(listening.get_by_role("alert")).to_contain_text("cannot be used (NotAllowedError)")


def test_file_that_is_too_large_is_not_sent(listening: Page) -> None:
    sent = []
    listening.on("request", lambda request: sent.append(request.url))
    listening.evaluate("""() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(64000001)], "large.wav"));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
    }""")
    expect(listening.get_by_role("alert")).to_contain_text("at most 64 MB")
    assert sent == []
