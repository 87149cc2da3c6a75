"""Becomes a process of a container: run as root in namespaces of its own, by box.py.

Stands in for a container engine where there is none, with what Kubernetes' level `restricted` asks
for: a root that is read-only, a user who is not root, no capabilities, no new privileges.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")


def mount(*words: str) -> None:
    """Mount something, for the processes of this box only."""
    subprocess.run(["mount", *words], check=True)


def furnish(root: str, mounted: dict[str, str]) -> None:
    """Make the box: its loopback, its root, its processes, devices, and files from outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH14x", b"lo", 0)
        name, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | IFF_UP))
    mount("--bind", root, root)
    for folder in ("proc", "dev"):
        Path(root, folder).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("--bind", "/dev", f"{root}/dev")
    for inside, outside in mounted.items():
        place = Path(f"{root}{inside}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        mount("--bind", "--options", "ro", outside, str(place))
    mount("--options", "remount,bind,ro", root)


def become(argv: list[str], environ: dict[str, str], user: int, root: str) -> None:
    """Enter the root, drop all rights, and run the program instead of this one."""
    libc = ctypes.CDLL(None, use_errno=True)
    capabilities = range(int(LAST_CAPABILITY.read_text()) + 1)
    os.chroot(root)
    os.chdir("/")
    for capability in capabilities:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execvpe(argv[0], argv, environ)  # noqa: S606  # what the image says, without a shell


def main(asked: dict[str, Any]) -> None:
    """Furnish the box if it is new, and run what is asked for in it."""
    if asked["new"]:
        furnish(asked["root"], asked["mounted"])
    become(asked["argv"], asked["environ"], asked["user"], asked["root"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
