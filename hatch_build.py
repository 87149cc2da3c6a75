"""The URLs of the project in the metadata of wheel and sdist, from the variable PROJECT_URL."""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProjectUrls(MetadataHookInterface):
    """Adds the URLs below that of the repository; none without the variable."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the URLs."""
        if url := os.environ.get("PROJECT_URL", "").rstrip("/"):
            metadata["urls"] = {
                "Source": url,
                "Documentation": f"{url}#readme",
                "Changelog": f"{url}/blob/main/CHANGELOG.md",
                "Issues": f"{url}/issues",
                "Security": f"{url}/security/policy",
            }
