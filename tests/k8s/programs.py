"""Programs that look at the Dockerfile and the manifests."""

import os
import shutil
from pathlib import Path

MADE = Path(__file__).parents[2] / ".venv-k8s/bin"
"""Where `make k8s-env` installs them."""


def program(name: str) -> Path | None:
    """Where a program is: the one of the lock first, else any; ``None`` without one."""
    found = shutil.which(name, path=f"{MADE}{os.pathsep}{os.environ.get('PATH', '')}")
    return Path(found) if found else None
