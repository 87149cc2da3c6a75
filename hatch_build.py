"""The URLs and the page of the project in the metadata of wheel and sdist.

The variable ``PROJECT_URL`` is the URL of the repository.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^]]*)\]\((?!https?:)([^)]+)\)")
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
