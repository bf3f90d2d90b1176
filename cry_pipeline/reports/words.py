"""What words that stages use for themselves mean, for who reads a page.

Belongs here: their explanations. Does not: the words (the stage that uses them), and what templates say anyway.
"""

from types import MappingProxyType

REFUSED = MappingProxyType(
    {
        "link": "a link to elsewhere, or to nothing",
        "not_a_file": "something else than a file, such as a pipe",
        "too_large": "more bytes than a recording can have",
        "unreadable": "the file or its folder does not let itself be read",
        "empty": "no bytes",
        "not_audio": "no audio in it, or no extension of an audio file",
        "odd_name": "neither the name nor a sidecar says donor, time and reason",
        "duplicate": "the same bytes as another file, which is used",
        "withdrawn": "it, or its donor, was withdrawn; the date and the reason are said",
        "changed": "changed after it was listed; the next run looks again",
        "undecodable": "the decoder cannot make sense of it",
        "truncated": "it ends before it says that it does",
        "decoder_crashed": "the decoder crashed on it",
        "decoder_timeout": "the decoder took too long",
        "decoder_memory": "the decoder asked for too much memory",
        "defect": "a fault of this program or of a library: please report it",
        "too_short": "shorter than one second",
    }
)
"""What each of ``corpus.refusals.REFUSALS`` means."""
