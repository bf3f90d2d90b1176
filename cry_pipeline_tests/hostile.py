"""Texts that would do something where they are shown, if anybody obeyed them; by what they are.

Belongs here: the texts, and what none of them may come out as. Does not: where they are shown (test_text_is_data.py).
"""

import os
import re
import unicodedata

HOSTILE = {
    "clears the screen": "a\x1b[2Jb.wav",
    "sets the title": "a\x1b]0;owned\x07b.wav",
    "a link of the terminal": "a\x1b]8;;http://evil.example\x1b\\b.wav",
    "asks the terminal": "a\x1b[6n\x1bP$q\x1b\\b.wav",
    "escapes of 8 bits": "a\x9b31mred\x9d0;x\x9c.wav",
    "a line of its own": "a\nerror: all is lost\n12:00:00 ERROR   forged",
    "overwrites its line": "a\rWARNING fine\x08\x08\x08.wav",
    "tabs and feeds": "a\t\v\fb.wav",
    "bells and NUL": "a\a\0b.wav",
    "other line ends": "a\u2028b\u2029c\x85d.wav",
    "reads backwards": "a\u202evaw.exe",
    "isolates": "a\u2066\u2067b\u2069.wav",
    "marks of direction": "a\u200e\u200f\u061cb.wav",
    "not seen": "a\u200b\u2060\ufeff\xadb.wav",
    "tags": "a\U000e0041\U000e007fb.wav",
    "no UTF-8": os.fsdecode(b"a\xff\xe9b.wav"),
    "half a character": "a\ud800b.wav",
    "markup": "a[red]b[/red].wav",
    "markup that is not closed": "[bold]a[/].wav",
    "a link of markup": "[link=http://evil.example]a[/link].wav",
    "the name of an emoji": ":baby:.wav",
    "a script": "<script>alert(1)</script>.wav",
    "an image that fails": "<img src=x onerror=alert(1)>.wav",
    "an attribute": '" onmouseover="alert(1)" x=\'y.wav',
    "an end of styles": "</style></title><script>alert(1)</script>.wav",
    "a comment": "--><svg onload=alert(1)><!--.wav",
    "entities": "&lt;b&gt;&#60;i&#62;.wav",
    "an address": "javascript:alert(1)",
    "a link of Markdown": "[a](javascript:alert(1)).wav",
    "an image of Markdown": "![a](http://evil.example/x.png).wav",
    "a heading and a table": "# a | b | `c` ***.wav",
    "a template": "{{ 7 * 7 }}{% for x in y %}.wav",
    "a format": "%s%d%n{0}{a!r}.wav",
    "a formula": "=HYPERLINK(A1).wav",
    "a command": "$(touch x)`id`; rm -rf *.wav",
    "mathematics": r"$\frac{a}$.wav",
    "very long": "a" * 5000 + ".wav",
}


def names_of_files() -> list[str]:
    """Return the hostile texts as far as a file can be called by them."""
    names = [re.sub(r"[/\0\ud800]", "", text)[:150] for text in HOSTILE.values()]
    return [f"{name.removesuffix('.wav')}.wav" for name in names]


def unseen(text: str) -> set[str]:
    """Return the characters of a text that a reader does not see, less the joiners that scripts and emoji need."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {c for c in text if unicodedata.category(c) in kinds} - {"\u200c", "\u200d"}
