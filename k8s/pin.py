"""``make k8s-image IMAGE=NAME:TAG``: has the manifests run that image, by its digest.

A tag can be moved, a digest cannot. The registry is asked for it, by docker or skopeo; where that
cannot be, it stands in IMAGE: NAME:TAG@sha256:DIGEST. It is written in k8s/base/kustomization.yaml.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

KUSTOMIZATION = Path(__file__).resolve().parent / "base/kustomization.yaml"

REFERENCE = re.compile(
    r"(?P<name>[a-z0-9._-]+(:[0-9]+)?(/[a-z0-9._-]+)+):(?P<tag>\w[\w.-]{0,127})"
    r"(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
BLOCK = re.compile(
    r"(?<=^images:\n  - name: openstack-image-exporter\n)(^    \w+: .*\n)+", re.MULTILINE
)
"""What kustomization.yaml says of the image, under its name."""

ASKING = {
    "docker": ("buildx", "imagetools", "inspect", "--format={{json .Manifest}}", "{image}"),
    "skopeo": ("inspect", "--format={{json .}}", "docker://{image}"),
}
"""Programs that know what a registry says, and how they are asked to say it in JSON."""


class PinError(Exception):
    """Why nothing was changed, in a line."""


class Pinned(NamedTuple):
    """An image that cannot become another one."""

    name: str
    tag: str
    digest: str


def pinned(image: str) -> Pinned:
    """The image with its digest, which the registry is asked for if it is not given.

    Raises:
        PinError: it is no image with a registry and a tag, or nobody says what its digest is.
    """
    found = REFERENCE.fullmatch(image)
    if found is None:
        raise PinError(f"IMAGE={image}: accepted: REGISTRY/NAME:TAG or REGISTRY/NAME:TAG@sha256:…")
    return Pinned(found["name"], found["tag"], found["digest"] or _asked(image))


def _asked(image: str) -> str:
    for program, words in ASKING.items():
        if shutil.which(program):
            command = [program, *(word.replace("{image}", image) for word in words)]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # no shell reads IMAGE
            try:
                said = {key.lower(): value for key, value in json.loads(ran.stdout).items()}
            except (ValueError, AttributeError):
                said = {}
            if re.fullmatch(r"sha256:[0-9a-f]{64}", str(said.get("digest"))):
                return str(said["digest"])
            raise PinError(f"{program} does not know the digest of {image}: {ran.stderr.strip()}")
    raise PinError(
        f"there is no {' and no '.join(ASKING)} to ask the registry with; "
        f"give the digest yourself: IMAGE={image}@sha256:…"
    )


def written(kustomization: str, image: Pinned) -> str:
    """The text of kustomization.yaml with this image."""
    lines = f"    newName: {image.name}\n    digest: {image.digest} # {image.tag}\n"
    changed, count = BLOCK.subn(lines, kustomization)
    if count != 1:
        raise PinError(f"{KUSTOMIZATION} has no image openstack-image-exporter any more")
    return changed


def main(argv: Sequence[str]) -> int:
    """Writes the image that the one argument names; returns the exit status."""
    try:
        image = pinned(*argv)
        text = written(KUSTOMIZATION.read_text("utf-8"), image)
    except PinError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    KUSTOMIZATION.write_text(text, "utf-8")
    sys.stdout.write(f"{image.name}:{image.tag} is {image.digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
