"""A build of the image with buildah, which needs no container engine or daemon, only chroot.

If no registry can be reached, a substitute for the base image is made from Debian packages.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.container.container import AS_ROOT, Image

ROOT = Path(__file__).parents[2]
BASE: str = re.findall("^ARG BASE=(.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[0]
"""The base image that the Dockerfile pins."""

SUBSTITUTE = "python:substitute"
"""The name of the substitute for it."""

TAG = "openstack-image-exporter"
SUBSTITUTE_PACKAGES = "python3-venv,base-files,ca-certificates,coreutils,dash,findutils"
"""The packages in the substitute for the base image: Python, and the programs that RUN needs."""

PROGRAMS = {
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""The programs that a build needs, and their Debian packages."""

PIP_OPTION = re.compile(
    r"^(?:global|install|:env:)\.(?P<option>index-url|extra-index-url|proxy|trusted-host|cert)="
    r"'(?P<value>(?!file:|/).*)'$",
    re.MULTILINE,
)
"""The options of pip that a build in a container needs to reach the index; no folders."""

BOUND = 900.0
"""Seconds after which a step of the build fails."""

CERTIFICATES = Path("/etc/ssl/certs")


class BuildError(Exception):
    """A failure of buildah, with its output."""


def missing_requirement() -> str | None:
    """Return the reason why this machine cannot build an image; None if it can."""
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name)})
    if missing:
        return f"building an image needs Debian's packages {', '.join(missing)}"
    if AS_ROOT and not shutil.which(AS_ROOT[0]):
        return "building an image needs root, or sudo"
    isolated = [*AS_ROOT, "unshare", "--net", "--mount", "--pid", "--fork", "true"]
    if subprocess.run(isolated, capture_output=True, check=False).returncode:
        return "building an image needs root, or sudo without a password, and namespaces"
    return None


def create_context(folder: Path) -> Path:
    """Copy the files that git does not ignore, and add a forgotten secret."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "clouds.yaml").write_text("password: forgotten\n")
    return folder


@dataclass(frozen=True)
class Store:
    """A storage of buildah apart from the machine's own."""

    folder: Path

    def buildah(self, *arguments: str) -> str:
        """Run buildah and return its output.

        Raises:
            BuildError: it failed.
        """
        storage = [f"--root={self.folder / 'images'}", f"--runroot={self.folder / 'run'}"]
        command = [*AS_ROOT, "buildah", *storage, "--storage-driver=vfs", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=BOUND, check=False)
        if result.returncode:
            output = f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
            raise BuildError(f"buildah {arguments[0]}:\n{output}")
        return result.stdout.strip()

    def build(self) -> Image:
        """Build the image from a clean checkout."""
        base = self._base()
        (checkout := self.folder / "checkout").mkdir()
        options = ["--isolation=chroot", "--format=docker", "--pull-never", f"--tag={TAG}"]
        values = {"BASE": base, "VERSION": "1.2.3", "REVISION": "abc"}
        build_args = [f"--build-arg={name}={value}" for name, value in values.items()]
        self.buildah(
            "build", *options, *build_args, *self._volumes(), str(create_context(checkout))
        )
        container = self.buildah("from", "--pull-never", TAG)
        inspected = json.loads(self.buildah("inspect", "--type=image", TAG))
        root = Path(self.buildah("mount", container))
        # The tests read its files, and may run without root.
        folders = [root / "root", root, *root.parents]
        paths = [str(folder) for folder in folders if folder.is_relative_to(self.folder)]
        subprocess.run([*AS_ROOT, "chmod", "a+rx", *paths], check=True)
        return Image(
            root=root,
            config=inspected["Docker"]["config"],
            layers=tuple(layer["size"] for layer in json.loads(inspected["Manifest"])["layers"]),
        )

    def remove(self) -> None:
        """Remove all files of the storage, many of which belong to root."""
        self.buildah("rm", "--all")
        subprocess.run([*AS_ROOT, "rm", "-rf", "--", str(self.folder)], check=True)

    def _base(self) -> str:
        """Return the name of the base image, which is in the storage then."""
        try:
            self.buildah("pull", "--quiet", BASE)
        except BuildError:
            self._make_substitute()
            return SUBSTITUTE
        return BASE

    def _make_substitute(self) -> None:
        files = self.folder / "debian"
        suite = _os_release()["VERSION_CODENAME"]
        options = ["--quiet", "--variant=extract", f"--include={SUBSTITUTE_PACKAGES}"]
        options += ["--format=directory"]
        command = [*AS_ROOT, "mmdebstrap", *options, suite, str(files), *map(str, _sources())]
        subprocess.run(command, check=True, capture_output=True)
        link = [*AS_ROOT, "ln", "-s", "python3", str(files / "usr/bin/python")]
        subprocess.run(link, check=True)
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, str(files), "/")
        self.buildah("commit", "--quiet", container, SUBSTITUTE)

    def _volumes(self) -> Sequence[str]:
        """Return the options that mount pip's configuration for the build only."""
        pip = [sys.executable, "-m", "pip", "config", "list"]
        text = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        options = [f"{match['option']} = {match['value']}" for match in PIP_OPTION.finditer(text)]
        if CERTIFICATES.is_dir():
            options.append(f"cert = {CERTIFICATES}/ca-certificates.crt")
        settings = self.folder / "pip.conf"
        settings.write_text("\n".join(["[global]", *options, ""]))
        mounted = {settings: Path("/etc/pip.conf"), CERTIFICATES: CERTIFICATES}
        return [f"--volume={path}:{target}:ro" for path, target in mounted.items() if path.exists()]


def _sources() -> list[Path]:
    """Return the distribution's own package sources, without any that were added."""
    names = ("sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources")
    return [path for name in names if (path := Path("/etc/apt", name)).exists()]


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text("utf-8").splitlines()
    return dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
