"""The command ``check`` with an entry of clouds.yaml."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.openstack.stack import OpenStack
from tests.support.program import run_program, settings_file


class Checked:
    """The output of ``check`` with an entry of clouds.yaml."""

    def __init__(
        self,
        folder: Path,
        openstack: OpenStack,
        image_ids: Sequence[str],
        *,
        discover: Sequence[Mapping[str, str]] = (),
        **entry: Any,
    ) -> None:
        """Run it for these images, and for those that are discovered."""
        auth = {"auth_url": f"{openstack.keystone.url}/v3", **entry.pop("auth")}
        clouds = {"clouds": {"demo": {"auth": auth, **entry}}}
        clouds_yaml = folder / "clouds.yaml"
        clouds_yaml.write_text(yaml.safe_dump(clouds), "utf-8")
        cloud: dict[str, Any] = {"name": "demo", "cloud": "demo", "images": list(image_ids)}
        # A real Glance and Keystone take long for their first responses on a busy machine.
        cloud |= {"interval": "5m", "timeout": "60s"}
        if discover:
            cloud["discover"] = list(discover)
        file = settings_file(folder, cloud)
        environ = {"OS_CLIENT_CONFIG_FILE": str(clouds_yaml), "NO_PROXY": "*"}
        result = run_program(folder, "check", f"--config.file={file}", environ=environ)
        self.text = result.stdout + result.stderr
        self.succeeded = result.returncode == 0
        rows = [line.split() for line in result.stdout.splitlines()]
        self.states = [row[3] for row in rows if row[0] == "demo"]
