"""Processes that push to a data root and are killed on the way; run as a program by test_data_root.py.

Belongs here: what the processes do. Does not: judging what they leave.
"""

import json
import os
import sys
from pathlib import Path

from cry_pipeline.storage.bucket import Bucket
from cry_pipeline.storage.root import DataRoot

FILES = 12


def lay(folder: Path, text: str) -> dict[str, str]:
    """Write files of a run, and a pointer to it; return their contents by path."""
    files = {f"runs/experiment/{text}/fold-0-{number}/part": f"{text} {number}" for number in range(FILES)}
    files["runs/experiment/current.json"] = text
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(".new")
        new.write_text(content)
        new.replace(file)
    return files


def killed_at_every_request(uri: str, folder: Path, stride: int) -> None:
    """Push to a root of its own for every ``stride``-th request, and be killed there, before it or after it.

    Prints a line of JSON for each: the root's address, and whether the push was done.
    """
    number, done = 0, False
    while not done:
        for after in (False, True):
            root = f"{uri}/killed-{number}-{after:d}"
            child = os.fork()
            if child == 0:
                _push_and_die(root, folder / f"{number}-{after:d}", number, after)
            done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            print(json.dumps({"root": root, "folder": f"{number}-{after:d}", "done": done}), flush=True)  # noqa: T201
        number += stride


def _push_and_die(uri: str, folder: Path, at: int, after: bool) -> None:
    import obstore

    root = DataRoot(Bucket(uri), folder)
    lay(folder, "old")
    root.push()
    lay(folder, "new")
    asked = iter(range(1_000_000))
    for name in ("put", "get", "head", "delete", "list"):
        setattr(obstore, name, _dying(getattr(obstore, name), asked, at, after))
    root.push()
    os._exit(0)


def _dying(request, asked, at: int, after: bool):
    def ask(*arguments: object, **named: object) -> object:
        now = next(asked) == at
        if now and not after:
            os._exit(9)
        answer = request(*arguments, **named)
        if now:
            os._exit(9)
        return answer

    return ask


def adding(uri: str, folder: Path, who: str, pushes: int) -> None:
    """Push a file of one's own, again and again."""
    root = DataRoot(Bucket(uri), folder / who)
    for number in range(pushes):
        file = root.folder / f"judgements/{who}-{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{who} {number}")
        root.push()


if __name__ == "__main__":
    what, uri, folder, *rest = sys.argv[1:]
    if what == "killed_at_every_request":
        killed_at_every_request(uri, Path(folder), int(rest[0]))
    else:
        adding(uri, Path(folder), rest[0], int(rest[1]))
