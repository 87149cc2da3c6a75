"""The URLs and the page of the project in the metadata of wheel and sdist, and their git commit.

The variable ``PROJECT_URL`` is the URL of the repository. The variable ``REVISION`` is the commit
of a build without git, such as that of the container image.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^]]*)\]\((?!https?:)([^)]+)\)")
REVISION = re.compile(r"[0-9A-Za-z._-]{1,64}")
REVISION_FILE = "exporter/revision.txt"
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def page_of_project(readme: str, url: str) -> str:
    """Return README.md with links and pictures that resolve outside the repository."""

    def absolute(link: re.Match[str]) -> str:
        mark, text, target = link.groups()
        if target.startswith("#"):
            return f"[{text}]({url}{target})"
        return f"{mark}[{text}]({url}/{'raw' if mark else 'blob'}/main/{target})"

    parts = CODE.split(readme)
    return "".join(part if part.startswith("```") else LINK.sub(absolute, part) for part in parts)


class ProjectUrls(MetadataHookInterface):
    """Adds the page of the project, and the URLs below that of the repository.

    Without the variable there are no URLs, and the links of the page stay relative.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the page and the URLs."""
        url = os.environ.get("PROJECT_URL", "").rstrip("/")
        readme = Path(self.root, "README.md").read_text("utf-8")
        text = page_of_project(readme, url) if url else readme
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        if url:
            metadata["urls"] = {
                "Source": url,
                "Documentation": f"{url}#readme",
                "Changelog": f"{url}/blob/main/CHANGELOG.md",
                "Issues": f"{url}/issues",
                "Security": f"{url}/security/policy",
            }


def revision_of(root: Path) -> str | None:
    """Return the commit of a clone or of a build that names it; None if it is not known."""
    revision = os.environ.get("REVISION", "unknown")
    if revision == "unknown" and (root / ".git").exists():
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        try:
            revision = subprocess.check_output(command, text=True)  # noqa: S603  # a constant
        except (OSError, subprocess.CalledProcessError):
            return None
    revision = revision.strip()
    return revision if revision != "unknown" and REVISION.fullmatch(revision) else None


class RevisionFile(BuildHookInterface[Any]):
    """Adds a file with the commit to wheel and sdist. A wheel of an sdist has that of the sdist."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file elsewhere, so that the clone stays as it is."""
        root = Path(self.root)
        revision = revision_of(root)
        # An editable installation runs whatever is in the clone.
        if version == "editable" or revision is None or (root / REVISION_FILE).exists():
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name, "revision.txt")
        file.write_text(f"{revision}\n", "ascii")
        build_data["force_include"][str(file)] = REVISION_FILE

    def finalize(self, *_: Any, **__: Any) -> None:
        """Remove the file again."""
        if self._folder is not None:
            self._folder.cleanup()
