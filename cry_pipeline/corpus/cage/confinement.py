"""A process gives up, for good, all that a decoder has no use for.

Belongs here: the system's means to that (resource limits, no new privileges, Landlock, seccomp), by ctypes. Does not:
what is decoded (child.py), and who starts, watches and ends such a process (pool.py).

There is no library for it that could be asked for: pyseccomp needs a libseccomp of the system, landlock is a
preliminary release. What is needed of both are two structures and three system calls, which never change.

What Landlock and seccomp do twice is meant: where a kernel lacks the one, the other still holds.
"""

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Callable, Mapping

PARTS = ("no_new_privs", "landlock", "limits", "seccomp")
"""What a process can be confined by, in the order in which it is."""
CPU_S = 600
"""CPU time of a process in its whole life: if nobody is left to end it, this does."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SIGKILL, _PROT_EXEC, _SECCOMP_MODE_FILTER = 9, 4, 2
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1
_LANDLOCK_FILES = (0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF)
"""All that Landlock knows to deny of files, by its version from 1 on (linux/landlock.h)."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Numbers of system calls on each of them (asm/unistd_64.h, asm-generic/unistd.h); None where there is no such call.
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "brk": (12, 214),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "rt_sigreturn": (15, 139),
    "rt_sigprocmask": (14, 135),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "gettimeofday": (96, 169),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
"""Memory, time, and the pipes that are open already."""
_NO_CODE = {"mmap": (9, 222), "mprotect": (10, 226)}
"""Allowed, unless what they map could be run."""
_REFUSED = {
    "open": (2, None),
    "openat": (257, 56),
    "stat": (4, None),
    "lstat": (6, None),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "lseek": (8, 62),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "rt_sigaction": (13, 134),
    "getrlimit": (97, 163),
    "prlimit64": (302, 261),
    "sched_getaffinity": (204, 123),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "rseq": (334, 293),
}
"""What libraries ask now and then, and go on without: files by name, what kind of machine this is."""


def confine(memory_bytes: int) -> tuple[str, ...]:
    """Confine this process and return by which of :data:`PARTS`; those that the system lacks are left out.

    From then on it can compute, use ``memory_bytes`` more of memory, read and write what is open, and end. Files and
    the machine's description are refused to it (EPERM); any other system call ends it with SIGSYS.
    """
    mapped = _mapped_bytes()  # there is no file to ask later
    steps: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("no_new_privs", _give_up_privileges),
        ("landlock", _deny_files),
        ("limits", lambda: _limit(mapped + memory_bytes)),
        ("seccomp", _deny_calls),
    )
    return tuple(part for part, step in steps if step())


def end_with_parent(parent: int) -> None:
    """Let the system end this process with the thread that started it, one of the process ``parent``."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:  # it was quicker
            sys.exit(1)


def _limit(memory_bytes: int) -> bool:
    if sys.platform == "linux":  # elsewhere what is mapped is not known, and the limit not kept
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))
    return True


def _mapped_bytes() -> int:
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - this process imports little
        return int(file.read().split()[0]) * resource.getpagesize()


def _give_up_privileges() -> bool:
    if sys.platform != "linux":
        return False
    return _prctl(_PR_SET_DUMPABLE, 0) and _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _deny_files() -> bool:
    """Deny all files, TCP, and signals and sockets of others, as far as this kernel's Landlock knows them."""
    version = _syscall(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION) if sys.platform == "linux" else 0
    if version < 1:
        return False
    files = _LANDLOCK_FILES[min(version, len(_LANDLOCK_FILES)) - 1]
    denied = struct.pack("=QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _syscall(_LANDLOCK_CREATE, ctypes.c_char_p(denied), size, 0)
    if rules < 0:
        return False
    try:
        return _syscall(_LANDLOCK_RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)


def _deny_calls() -> bool:
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return False
    program = _program(machine)
    code = ctypes.create_string_buffer(b"".join(program), sum(map(len, program)))

    class _Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    whole = _Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    return _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(whole))


def _program(machine: str) -> list[bytes]:
    """Return the filter of system calls as instructions of classic BPF (linux/filter.h, linux/seccomp.h)."""

    def instruction(code: int, if_so: int, if_not: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, if_so, if_not, value)

    def load(offset: int) -> bytes:
        return instruction(0x20, 0, 0, offset)  # of struct seccomp_data: 0 number, 4 architecture, 16 + 8·n argument n

    def jump_unless(value: int, over: int) -> bytes:
        return instruction(0x15, 0, over, value)

    end, allow = instruction(0x06, 0, 0, 0x8000_0000), instruction(0x06, 0, 0, 0x7FFF_0000)
    refuse = instruction(0x06, 0, 0, 0x0005_0000 | errno.EPERM)
    program = [load(4), instruction(0x15, 1, 0, _ARCHITECTURES[machine]), end, load(0)]
    for number in _numbers(_ALLOWED, machine):
        program += [jump_unless(number, 1), allow]
    for number in _numbers(_REFUSED, machine):
        program += [jump_unless(number, 1), refuse]
    for number in _numbers(_NO_CODE, machine):
        runs = instruction(0x45, 0, 1, _PROT_EXEC)  # whether any of these bits is set
        program += [jump_unless(number, 4), load(16 + 8 * 2), runs, end, allow]
    return [*program, end]


def _numbers(calls: Mapping[str, tuple[int, int | None]], machine: str) -> list[int]:
    place = list(_ARCHITECTURES).index(machine)
    return [number for numbers in calls.values() if (number := numbers[place]) is not None]


def _prctl(option: int, value: object, pointer: object = None) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    argument = ctypes.c_ulong(value) if isinstance(value, int) else value
    return libc.prctl(option, argument, pointer or ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) == 0


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_long(word) if isinstance(word, int) else word for word in arguments)
    return libc.syscall(ctypes.c_long(number), *words)
