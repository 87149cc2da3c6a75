"""Builds the image with buildah: no engine, no daemon, no kernel features beyond chroot.

Where no registry can be reached, the base image is one made from this machine's Debian packages
under the same name, so that the Dockerfile is used as it is.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.container.box import AS_ROOT, Image

ROOT = Path(__file__).parents[2]
BASE = "python:3.13-slim"
TAG = "openstack-image-exporter"
STAND_IN = "python3-venv,base-files,ca-certificates,coreutils,dash,findutils"
"""The packages that a stand-in has of what the real one has: Python, and what RUN needs."""

PROGRAMS = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""What a build needs, and the Debian package that has it."""

PIP_OPTION = re.compile(
    r"^(?:global|install|:env:)\.(?P<option>index-url|extra-index-url|proxy|trusted-host|cert)="
    r"'(?P<value>(?!file:|/).*)'$",
    re.MULTILINE,
)
"""What another machine needs to know of how pip reaches its index from here: no folders."""

BOUND = 300.0
"""Seconds that a step may take."""

CERTIFICATES = Path("/etc/ssl/certs")


class BuildError(Exception):
    """buildah did not do what it was told, and said this."""


def why_not() -> str | None:
    """Why no image can be built on this machine; ``None`` if one can."""
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if missing:
        return f"building an image needs Debian's packages {', '.join(missing)}"
    if AS_ROOT and not shutil.which(AS_ROOT[0]):
        return "building an image needs root, or sudo"
    isolated = [*AS_ROOT, "unshare", "--net", "--mount", "--pid", "--fork", "true"]
    if subprocess.run(isolated, capture_output=True, check=False).returncode:
        return "building an image needs root, or sudo without a password, and namespaces"
    return None


def context(folder: Path) -> Path:
    """A clean checkout, as it is now, with a secret in it that somebody has forgotten."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "clouds.yaml").write_text("password: forgotten\n")
    return folder


@dataclass(frozen=True)
class Store:
    """Where buildah keeps images, apart from the machine's own."""

    folder: Path

    def buildah(self, *words: str) -> str:
        """What buildah prints for this command."""
        place = [f"--root={self.folder / 'images'}", f"--runroot={self.folder / 'run'}"]
        command = [*AS_ROOT, "buildah", *place, "--storage-driver=vfs", *words]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=BOUND, check=False)
        if ran.returncode:
            raise BuildError(f"buildah {words[0]}:\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}")
        return ran.stdout.strip()

    def build(self) -> Image:
        """Build the image from a clean checkout."""
        self._get_base()
        (checkout := self.folder / "checkout").mkdir()
        options = ["--isolation=chroot", "--format=docker", "--pull-never", f"--tag={TAG}"]
        labels = ["--build-arg=VERSION=1.2.3", "--build-arg=REVISION=abc"]
        self.buildah("build", *options, *labels, *self._volumes(), str(context(checkout)))
        container = self.buildah("from", "--pull-never", TAG)
        inspected = json.loads(self.buildah("inspect", "--type=image", TAG))
        root = Path(self.buildah("mount", container))
        # The tests look at its files, and need not be root's.
        folders = [root / "root", root, *root.parents]
        within = [str(each) for each in folders if each.is_relative_to(self.folder)]
        subprocess.run([*AS_ROOT, "chmod", "a+rx", *within], check=True)
        return Image(
            root=root,
            config=inspected["Docker"]["config"],
            layers=tuple(each["size"] for each in json.loads(inspected["Manifest"])["layers"]),
        )

    def remove(self) -> None:
        """Leave nothing behind: the files are root's, and many."""
        self.buildah("rm", "--all")
        subprocess.run([*AS_ROOT, "rm", "-rf", "--", str(self.folder)], check=True)

    def _get_base(self) -> None:
        try:
            self.buildah("pull", "--quiet", BASE)
        except BuildError:
            self._stand_in()

    def _stand_in(self) -> None:
        files = self.folder / "debian"
        suite = _os_release()["VERSION_CODENAME"]
        options = ["--quiet", "--variant=extract", f"--include={STAND_IN}", "--format=directory"]
        made = [*AS_ROOT, "mmdebstrap", *options, suite, str(files), *map(str, _sources())]
        subprocess.run(made, check=True, capture_output=True)
        link = [*AS_ROOT, "ln", "-s", "python3", str(files / "usr/bin/python")]
        subprocess.run(link, check=True)
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, str(files), "/")
        self.buildah("commit", "--quiet", container, BASE)

    def _volumes(self) -> Sequence[str]:
        """How pip reaches its index from here: mounted for the build, and in no image."""
        pip = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        options = [f"{each['option']} = {each['value']}" for each in PIP_OPTION.finditer(listed)]
        if CERTIFICATES.is_dir():
            options.append(f"cert = {CERTIFICATES}/ca-certificates.crt")
        settings = self.folder / "pip.conf"
        settings.write_text("\n".join(["[global]", *options, ""]))
        mounted = {settings: Path("/etc/pip.conf"), CERTIFICATES: CERTIFICATES}
        return [f"--volume={here}:{there}:ro" for here, there in mounted.items() if here.exists()]


def _sources() -> list[Path]:
    """The distribution's own sources of packages, not those that were added."""
    places = ("sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources")
    return [path for each in places if (path := Path("/etc/apt", each)).exists()]


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text("utf-8").splitlines()
    return dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
