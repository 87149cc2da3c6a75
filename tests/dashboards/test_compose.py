"""dashboards/compose.yaml: what it mounts exists, fits together, and loads in the real programs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from tests.dashboards.servers import DATA, Prometheus, installed
from tests.k8s.programs import schema
from tests.support.program import ROOT

FOLDER = Path(__file__).parents[2] / "dashboards"
FILE = FOLDER / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))["services"]
DASHBOARDS = {"overview.json", "image.json", "exporter.json"}


def mounts(service: str) -> dict[str, Path]:
    """Return the file of each path in the container."""
    parts = (volume.split(":") for volume in SERVICES[service]["volumes"])
    return {target: FOLDER / source for source, target, _ in parts}


def loaded(service: str, target: str) -> Any:
    return yaml.safe_load(mounts(service)[target].read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the files of Prometheus out as in its container."""
    folder = tmp_path_factory.mktemp("prometheus")
    for target, source in mounts("prometheus").items():
        (folder / Path(target).name).symlink_to(source)
    return folder


@pytest.fixture(scope="module")
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with the files of its container."""
    program = installed("prometheus", package="prometheus")
    server = Prometheus(
        lambda port: (
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / DATA}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        folder,
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_compose_file_follows_its_specification() -> None:
    document = yaml.safe_load(FILE.read_text("utf-8"))
    jsonschema.validate(document, schema("compose-spec"))


def test_mounted_files_exist_and_are_read_only() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source, target, mode = volume.split(":")
            assert (FOLDER / source).is_file(), volume
            assert Path(target).is_absolute()
            assert mode == "ro"


def test_images_are_pinned_and_ports_are_open_on_this_machine_only() -> None:
    for name, service in SERVICES.items():
        if name != "exporter":
            assert ":" in service["image"]
            assert not service["image"].endswith(":latest")
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_addresses_lead_to_the_ports_of_the_services() -> None:
    settings = loaded("prometheus", "/etc/prometheus/prometheus.yml")
    (job,) = settings["scrape_configs"]
    (alerting,) = settings["alerting"]["alertmanagers"]
    (source,) = loaded("grafana", "/etc/grafana/provisioning/datasources/prometheus.yml")[
        "datasources"
    ]
    targets = [
        *job["static_configs"][0]["targets"],
        *alerting["static_configs"][0]["targets"],
        urlsplit(source["url"]).netloc,
    ]
    for target in targets:
        name, port = target.split(":")
        assert f"127.0.0.1:{port}:{port}" in SERVICES[name]["ports"]
    assert source["type"] == "prometheus"


def test_grafana_finds_every_dashboard() -> None:
    (provider,) = loaded("grafana", "/etc/grafana/provisioning/dashboards/openstack-images.yml")[
        "providers"
    ]
    path = Path(provider["options"]["path"])
    found = {
        source.name: json.loads(source.read_text("utf-8"))["uid"]
        for target, source in mounts("grafana").items()
        if Path(target).parent == path
    }
    assert found.keys() == DASHBOARDS
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in mounts("grafana")


def test_alertmanager_accepts_its_file() -> None:
    amtool = installed("amtool", package="prometheus-alertmanager")
    path = mounts("alertmanager")["/etc/alertmanager/alertmanager.yml"]
    subprocess.run([amtool, "check-config", str(path)], check=True, capture_output=True)


def test_promtool_accepts_the_files_of_prometheus(folder: Path) -> None:
    promtool = installed("promtool", package="prometheus")
    command = [promtool, "check", "config", str(folder / "prometheus.yml")]
    subprocess.run(command, check=True, capture_output=True)


def test_prometheus_loads_the_rules(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    assert "OpenStackImageGone" in {rule["name"] for group in groups for rule in group["rules"]}


def test_command_of_the_readme_names_the_file() -> None:
    for path in (ROOT / "README.md", FOLDER / "README.md"):
        text = path.read_text("utf-8")
        assert "docker compose --file dashboards/compose.yaml up --build" in text
