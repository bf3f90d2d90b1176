"""A synthetic corpus: layout, names, formats and surprises of donateacry-corpus, and not one baby.

Belongs here: writing such a corpus, whole or not at all. Does not: who uploads what (plan.py), what it sounds
like (voices.py), and file formats (encoding.py).
"""

import json
import logging
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import numpy as np

from cry_pipeline.corpus.filenames import REASONS
from cry_pipeline.corpus.sources import CLEANED, CORPUS_NOTE
from cry_pipeline.corpus.synthetic.encoding import WAV, upload_format, write_audio
from cry_pipeline.corpus.synthetic.plan import LABELS, Plan, Upload, plan_uploads
from cry_pipeline.corpus.synthetic.voices import cry, not_a_cry, today
from cry_pipeline.progress import track

LOG = logging.getLogger("cry_pipeline")

REVISION = 1  # raised when equal arguments give other bytes than before
UPLOADS = {"android": "donateacry-android-upload-bucket", "ios": "donateacry-ios-upload-bucket"}


class SyntheticError(ValueError):
    """No corpus can be generated into this folder; the message says why."""


class Size(TypedDict):
    """Arguments of :func:`generate_corpus` that say how much there is."""

    donors: int
    donors_per_reason: int
    kept_per_reason: int
    hungry_share: float
    kept_share: float
    clip_s: tuple[float, float]


TINY: Size = {
    "donors": 8,
    "donors_per_reason": 6,
    "kept_per_reason": 1,
    "hungry_share": 0.4,
    "kept_share": 0.75,
    "clip_s": (1.2, 2.0),
}
"""``generate_corpus(folder, **TINY)``: for tests, a second; six donors of every rare reason, each with several."""


def generate_corpus(
    folder: Path,
    *,
    donors: int = 32,
    donors_per_reason: int = 6,
    kept_per_reason: int = 2,
    hungry_share: float = 0.6,
    kept_share: float = 0.7,
    seed: int = 0,
    effect: float = 0.0,
    surprises: bool = True,
    clip_s: tuple[float, float] = (6.5, 7.1),
) -> Path:
    """Generate a corpus at ``folder``, which appears only when complete, and return it. Equal arguments, equal bytes.

    Args:
        donors: installs; of these ``donors_per_reason`` upload each rare reason. Where there are not enough donors
            for one rare reason each, a donor has several.
        kept_per_reason: cries that are kept of each of those donors and reasons.
        hungry_share: share of hungry among the kept cries.
        kept_share: share of kept cries among the uploads with one of the five reasons.
        effect: by how much a reason shifts its trait (``voice.EFFECTS``), in units of ``voice.EFFECT_SD``
            between-donor standard deviations; 0 plants nothing.
        surprises: add what is odd in the real corpus: two names off the convention, two byte-identical uploads,
            uploads under a second, a truncated and an empty file, and donors of two genders or ages.
        clip_s: shortest and longest recording in seconds.

    Raises:
        PlanError: five donor-grouped folds could not all hold every class, or an argument makes no sense.
        SyntheticError: ``folder`` is not empty.
        EncodingError: libav lacks an encoder.
    """
    plan = Plan(donors, donors_per_reason, kept_per_reason, hungry_share, kept_share, seed, effect, surprises, clip_s)
    if folder.exists() and any(folder.iterdir()):
        raise SyntheticError(f"{folder} is not empty: remove it, or generate the corpus into a folder of another name")
    uploads = plan_uploads(plan)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".tmp", dir=folder.parent))
    try:
        _write_corpus(unfinished, plan, uploads)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    LOG.info("generated a synthetic corpus of %d uploads by %d donors at %s", len(uploads), donors, folder)
    return folder


def _write_corpus(root: Path, plan: Plan, uploads: list[Upload]) -> None:
    for folder in (*UPLOADS.values(), *(f"{CLEANED}/{label}" for label in sorted(set(LABELS.values())))):
        (root / folder).mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        written = pool.map(lambda upload: _write_upload(root, plan, upload), uploads)
        for _ in track(written, "generating a synthetic corpus", total=len(uploads)):
            pass
    (root / "README.md").write_text(README.format(**asdict(plan)), encoding="utf-8")
    about = {
        "source": "synthetic",
        "revision": REVISION,
        **asdict(plan),
        "android_codec": upload_format("android").codec,
    }
    (root / CORPUS_NOTE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _write_upload(root: Path, plan: Plan, upload: Upload) -> None:
    """Write an upload and, where the curators keep it, its cleaned copy, made from the upload as theirs was."""
    from cry_pipeline.corpus.decoding import load_samples

    audio = upload_format(upload.donor.platform)
    samples = audio.samples(upload.duration_s)
    rng = np.random.default_rng([plan.seed, upload.donor.index, upload.take])
    voice = today(upload.donor.voice, REASONS[upload.code], plan.effect, rng)
    duration_s, rate = samples / audio.sample_rate_hz, audio.sample_rate_hz
    if upload.sound == "cry":
        sound = cry(voice, duration_s, rate, rng)
    else:
        sound = not_a_cry(upload.sound, upload.donor.voice, duration_s, rate, rng)
    path = root / UPLOADS[upload.donor.platform] / f"{upload.stem}{audio.suffix}"
    write_audio(path, sound, audio)
    if upload.arrived < 1.0:
        path.write_bytes(path.read_bytes()[: int(upload.arrived * path.stat().st_size)])
    if upload.kept:
        cleaned = root / CLEANED / LABELS[upload.code] / f"{upload.stem}{WAV.suffix}"
        write_audio(cleaned, load_samples(path, WAV.sample_rate_hz), WAV)


README = """\
# A synthetic corpus

No baby cried for these recordings: `cry_pipeline` generated them (`cry-pipeline corpus synth`). Layout, file
names, formats and oddities follow the public donateacry-corpus. Results on them say that the pipeline works, and
nothing about babies.

{donors} donors, seed {seed}, planted effect {effect} (0 = the reason cannot be heard;
`cry_pipeline/corpus/synthetic/voices.py` says which trait each reason shifts). All arguments are in `corpus.json`.
"""
