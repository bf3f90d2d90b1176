"""Why a file is not taken: one word that tables count, and a sentence for people.

Belongs here: the words, and making a sentence fit for a table. Does not: deciding (sources.py before a file is read,
probing.py of what is in it, manifest.py of its name, its twins and its length).
"""

from dataclasses import dataclass

from cry_pipeline.corpus.paths import shown

REFUSALS = (
    "link",
    "not_a_file",
    "too_large",
    "unreadable",
    "empty",
    "not_audio",
    "odd_name",
    "duplicate",
    "withdrawn",
    "changed",
    "undecodable",
    "truncated",
    "decoder_crashed",
    "decoder_timeout",
    "decoder_memory",
    "defect",
    "too_short",
)
LONGEST_DETAIL = 500


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be used: one of :data:`REFUSALS`, and a sentence."""

    reason: str
    detail: str

    def __post_init__(self) -> None:
        """Keep the sentence short and printable: a part of it may be a stranger's text, of any length."""
        detail = shown(self.detail)
        if len(detail) > LONGEST_DETAIL:
            detail = f"{detail[:LONGEST_DETAIL]} …"
        object.__setattr__(self, "detail", detail)
