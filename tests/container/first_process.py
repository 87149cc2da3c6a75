"""The program that becomes a process of a container; started as root by container.py.

It replaces a container engine and applies Kubernetes' level `restricted`: a read-only root, a
user other than root, no capabilities, no new privileges.
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


def mount(*arguments: str) -> None:
    """Run ``mount`` in the mount namespace of the container."""
    subprocess.run(["mount", *arguments], check=True)


def set_up(root: str, mounted: dict[str, str]) -> None:
    """Set up loopback and the file systems: root, /proc, /dev, and files of the host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        name, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | IFF_UP))
    mount("--bind", root, root)
    for folder in ("proc", "dev"):
        Path(root, folder).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("--bind", "/dev", f"{root}/dev")
    for inside, outside in mounted.items():
        target = Path(f"{root}{inside}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        mount("--bind", "--options", "ro", outside, str(target))
    mount("--options", "remount,bind,ro", root)


def execute(argv: list[str], environ: dict[str, str], user: int, root: str) -> None:
    """Enter the root, drop all privileges, and execute the program in this process."""
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
    os.execvpe(argv[0], argv, environ)  # noqa: S606  # the image's program, without a shell


def main(settings: dict[str, Any]) -> None:
    """Set up the container if it is new, and execute a program in it."""
    if settings["is_new"]:
        set_up(settings["root"], settings["mounted"])
    execute(settings["argv"], settings["environ"], settings["user"], settings["root"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
