"""What a decoder that a stranger has taken over would try next, each in a confined process of its own.

Run as a program: mode, a file, the port of a server; it writes what became of each as JSON. Modes: "whole" is the cage
as it is; "landlock" and "limits" leave the other means of confinement away, to see what each does alone.
"""

# What is tried are system calls.
# ruff: noqa: PTH102, PTH104, PTH108, PTH120, PTH208, PTH211, S108, S606
import ctypes
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from cry_pipeline.corpus.cage import confinement

LIBC = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() == "aarch64"
MEMORY_BYTES = 64 << 20
BY_NUMBER = {  # system calls that Python, or libc, has no function of
    "clone": (56, 220),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "memfd_create": (319, 279),
    "io_uring_setup": (425, 425),
    "unshare": (272, 97),
    "mount": (165, 40),
    "shmget": (29, 194),
    "pidfd_open": (434, 434),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "execveat": (322, 281),
    "init_module": (175, 105),
    "seccomp": (317, 277),
}


class Scene(NamedTuple):
    """What there is to get at: a file, a server, the process that started this one, a page of memory."""

    file: str
    port: int
    parent: int
    page: int


def call(name: str, *arguments: int | bytes | None) -> None:
    """Make a system call; OSError if it fails."""
    words = (ctypes.c_long(word) if isinstance(word, int) else word for word in arguments)
    check(LIBC.syscall(ctypes.c_long(BY_NUMBER[name][ARM]), *words))


def check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


Escapes = dict[str, Callable[[Scene], object]]

FILES: Escapes = {
    "read a file": lambda s: os.open(s.file, os.O_RDONLY),
    "read what is secret": lambda _: os.open("/etc/passwd", os.O_RDONLY),
    "write to a file": lambda s: os.open(s.file, os.O_WRONLY | os.O_APPEND),
    "make a file": lambda s: os.open(f"{s.file}.new", os.O_WRONLY | os.O_CREAT),
    "list a folder": lambda s: os.listdir(os.path.dirname(s.file)),
    "remove a file": lambda s: os.unlink(s.file),
    "rename a file": lambda s: os.rename(s.file, f"{s.file}.moved"),
    "make a link": lambda s: os.symlink("/etc/passwd", f"{s.file}.link"),
    "make a folder": lambda s: os.mkdir(f"{s.file}.folder"),
    "open the parent's memory": lambda s: os.open(f"/proc/{s.parent}/mem", os.O_RDONLY),
    "open the parent's environment": lambda s: os.open(f"/proc/{s.parent}/environ", os.O_RDONLY),
    "make shared memory": lambda _: os.open("/dev/shm/escaped", os.O_RDWR | os.O_CREAT),
    "call a server": lambda s: socket.socket(socket.AF_INET).connect(("127.0.0.1", s.port)),
    "run a program": lambda _: os.execv("/bin/true", ["/bin/true"]),
}
"""What Landlock alone keeps it from."""
AMOUNTS: Escapes = {
    "take more memory": lambda _: bytearray(4 * MEMORY_BYTES),
    "copy a pipe": lambda _: os.dup(1),
    "make a pipe": lambda _: os.pipe(),
    "read a file that is there": lambda s: os.open(s.file, os.O_RDONLY),
    "raise its limit of memory": lambda _: resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)),
}
"""What the limits alone keep it from, even a user who is not root."""
CALLS: Escapes = {
    "serve": lambda _: socket.create_server(("127.0.0.1", 0)),
    "send a packet": lambda s: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", s.port)),
    "speak to another process": lambda _: socket.socket(socket.AF_UNIX).connect("\0escaped"),
    "start a process": lambda _: os.fork(),
    "start a thread": lambda _: threading.Thread(target=time.sleep, args=(9,)).start(),
    "clone itself": lambda _: call("clone", signal.SIGCHLD, 0, 0, 0, 0),
    "run a program that is open": lambda _: call("execveat", 0, b"", None, None, 0x1000),
    "signal the parent": lambda s: os.kill(s.parent, 0),
    "end the parent": lambda s: os.kill(s.parent, signal.SIGTERM),
    "trace the parent": lambda s: call("ptrace", 16, s.parent, 0, 0),
    "read the parent's memory": lambda s: call("process_vm_readv", s.parent, s.page, 1, s.page, 1, 0),
    "hold the parent": lambda s: call("pidfd_open", s.parent, 0),
    "map a page of code": lambda _: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "make data code": lambda s: check(LIBC.mprotect(ctypes.c_void_p(s.page), 4096, 5)),
    "keep a program in memory": lambda _: call("memfd_create", b"x", 0),
    "queue system calls": lambda s: call("io_uring_setup", 4, s.page),
    "leave its name space": lambda _: call("unshare", 0x10000000),
    "mount": lambda _: call("mount", b"x", b"/", b"tmpfs", 0, None),
    "share memory": lambda _: call("shmget", 0, 4096, 0o1600),
    "load a program into the kernel": lambda s: call("bpf", 0, s.page, 64),
    "load a module into the kernel": lambda s: call("init_module", s.page, 1, s.page),
    "watch the machine": lambda s: call("perf_event_open", s.page, 0, -1, -1, 0),
    "handle its own faults": lambda _: call("userfaultfd", 0),
    "read keys": lambda _: call("keyctl", 0, -3, 0),
    "open by handle": lambda s: call("open_by_handle_at", 0, s.page, 0),
    "be traced again": lambda _: check(LIBC.prctl(4, 1, 0, 0, 0)),
    "change who it is": lambda _: os.setuid(0),
    "change its root": lambda _: os.chroot("/"),
    "set the clock": lambda _: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "ignore the end of its time": lambda _: signal.signal(signal.SIGXCPU, signal.SIG_IGN),
}
"""What the filter of system calls keeps it from."""
MODES = {"whole": FILES | AMOUNTS | CALLS, "landlock": FILES, "limits": AMOUNTS}


def attempt(escape: Callable[[Scene], object], scene: Scene, said: int) -> None:
    """Confine this process, try, and say how it went."""
    parts = confinement.confine(MEMORY_BYTES)
    try:
        escape(scene)
        outcome = "escaped"
    except (OSError, MemoryError, ValueError, RuntimeError) as error:
        outcome = f"refused: {error!r}"
    os.write(said, f"{','.join(parts)}\n{outcome}".encode())
    os._exit(0)


def outcome_of(escape: Callable[[Scene], object], scene: Scene) -> tuple[str, str]:
    """Return what a process was confined by, if it lived to say so, and what became of its attempt."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        attempt(escape, scene, writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        parts, _, outcome = pipe.read().partition("\n")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return parts, f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return parts, outcome or f"ended with {os.waitstatus_to_exitcode(status)}"


def main() -> None:
    mode, file, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if mode != "whole":
        confinement._deny_calls = lambda: False
    if mode == "landlock":
        confinement._limit = lambda _: False
    if mode == "limits":
        confinement._deny_files = lambda: False
        os.setgid(65534)
        os.setuid(65534)
    page = mmap.mmap(-1, 4096)
    scene = Scene(file, port, os.getpid(), ctypes.addressof(ctypes.c_char.from_buffer(page)))
    json.dump({name: outcome_of(escape, scene) for name, escape in MODES[mode].items()}, sys.stdout)


if __name__ == "__main__":
    main()
