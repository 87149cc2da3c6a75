"""The image: built from a clean checkout, and run as a container engine would.

Namespaces and chroot provide the user, a read-only root, no capabilities, process 1 and a network
of its own. They do not provide an engine's seccomp profile and resource limits.
"""

import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.container.container import Container, Image
from tests.support.program import BOUND, GOLDEN
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

PACKAGES = "lib/python3*/site-packages/*"
CONFIG = "/etc/openstack-image-exporter/exporter.yml"

CLOUD = f"""
from exporter.simulator import SimulatedImage, SimulatedImageService
from exporter.simulator.keystone import SimulatedKeystone
import time
with SimulatedKeystone(port=5000) as keystone, SimulatedImageService(
    [SimulatedImage('{GOLDEN}', name='golden')], port=9292
) as service:
    keystone.offer_image(service.url)
    print('ready', flush=True)
    time.sleep(600)
"""

CLOUDS_YAML = {
    "clouds": {
        "lab": {
            "auth": {
                "auth_url": "http://127.0.0.1:5000/v3",
                "username": "demo",
                "password": "secret",
                "project_name": "demo",
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            }
        }
    }
}


@pytest.fixture
def container(image: Image, tmp_path: Path) -> Container:
    """Return the container of `docker run IMAGE demo`, not started yet."""
    return Container(image, ["demo"], tmp_path / "log")


def metrics_when_ready(container: Container) -> str:
    """Wait until the exporter is ready, and return its metrics."""
    wait_until(lambda: container.get("/-/ready"), 2 * BOUND, details=container.log.read_text)
    return container.get("/metrics") or ""


def test_exporter_adds_at_most_100_mb_to_the_base_image(
    image: Image, capfd: pytest.CaptureFixture[str]
) -> None:
    *base, added = (size / 1e6 for size in image.layers)
    with capfd.disabled():
        print(f"\nimage: {sum(base) + added:.0f} MB, of which the base {sum(base):.0f} MB")  # noqa: T201
    assert added <= 100


def test_image_contains_only_what_is_needed(image: Image) -> None:
    """No compiler, no pip of its own, no cache, and only the package from the checkout."""
    environment = image.root / "opt/exporter"
    patterns = ("*", "bin/*", PACKAGES)
    names = {path.name for pattern in patterns for path in environment.glob(pattern)}
    assert {"openstack-image-exporter", "exporter", "openstack"} <= names
    assert not {"pip", "hatchling", "tests", "clouds.yaml", "requirements.txt"} & names
    assert not [*environment.glob(f"{PACKAGES}/tests")]
    for folder in ("src", "root/.cache", "opt/build", "opt/wheel"):
        assert not (image.root / folder).exists()
    programs = {path.name for path in image.root.glob("usr/bin/*")}
    assert not {"cc", "gcc", "ld", "make", "git", "curl"} & programs


def test_every_module_has_bytecode_that_is_valid_for_any_mtime(image: Image) -> None:
    """None can be written later, on a read-only root."""
    for source in (image.root / "opt/exporter").rglob("exporter/**/*.py"):
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        # PEP 552: a hash of the source, which is not checked.
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0"


def test_image_does_not_reveal_the_package_index_of_the_build(image: Image) -> None:
    pip_conf = image.root / "etc/pip.conf"
    assert not pip_conf.exists() or not pip_conf.read_bytes()
    assert not [name for name in image.environ if "PIP" in name.upper() or "PROXY" in name.upper()]


def test_oci_labels_have_version_revision_and_licence(image: Image) -> None:
    prefix = "org.opencontainers.image."
    labels = image.config["Labels"]
    assert labels[f"{prefix}version"] == "1.2.3"
    assert labels[f"{prefix}revision"] == "abc"
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert {f"{prefix}{name}" for name in ("title", "description", "source", "created")} <= set(
        labels
    )


def test_demo_serves_metrics_on_all_addresses_at_the_exposed_port(container: Container) -> None:
    assert container.image.config["ExposedPorts"] == {"10292/tcp": {}}
    with container:
        metrics = metrics_when_ready(container)
        assert 'openstack_image_api_up{cloud="demo"} 1.0' in metrics
        assert 'revision="abc"' in metrics
        status, sockets = container.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
    addresses = re.findall(r"^ *\d+: (0+):2834 0+:0000 0A", sockets, re.MULTILINE)
    assert status == 0
    assert addresses, sockets


def test_process_has_no_privileges(container: Container) -> None:
    """It runs as user and group 10001, without groups or capabilities, and cannot gain any."""
    with container:
        metrics_when_ready(container)
        _, text = container.run("cat", "/proc/1/status")
        _, command_line = container.run("cat", "/proc/1/cmdline")
    status = dict(line.split(":", 1) for line in text.splitlines())
    assert "openstack-image-exporter\0demo" in command_line
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert not status["Groups"].split()
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert int(status["NoNewPrivs"]) == 1


def test_exporter_runs_with_a_read_only_root(container: Container) -> None:
    """Not even /tmp can be written to."""
    with container:
        metrics_when_ready(container)
        for folder in ("/", "/tmp", "/opt/exporter"):  # noqa: S108  # not to be used
            status, output = container.run("python", "-c", f"open('{folder}/x', 'w')")
            assert status != 0
            assert "Read-only file system" in output


def test_health_check_of_the_image_succeeds(container: Container) -> None:
    kind, *argv = container.image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    with container:
        metrics_when_ready(container)
        assert container.run(*argv) == (0, "200 Healthy\n")


def test_health_check_uses_the_address_of_the_command_line(image: Image, tmp_path: Path) -> None:
    _, *argv = image.config["Healthcheck"]["Test"]
    with Container(
        image, ["demo", "--web.listen-address=127.0.0.1:9999"], tmp_path / "log"
    ) as container:
        wait_until(
            lambda: container.get("/-/ready", port=9999), 2 * BOUND, details=container.log.read_text
        )
        assert container.run(*argv) == (0, "200 Healthy\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_1_exits_with_0_on_sigterm_and_sigint(
    container: Container, number: signal.Signals
) -> None:
    assert container.image.config["StopSignal"] == "SIGTERM"
    with container:
        metrics_when_ready(container)
        assert container.stop(number) == 0


def test_sigterm_is_handled_during_the_start(container: Container) -> None:
    """The handler is installed before most modules are imported."""

    def handles_sigterm() -> bool:
        caught = re.search(r"^SigCgt:\s*(\w+)$", container.status(), re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> signal.SIGTERM - 1 & 1)

    with container:
        wait_until(handles_sigterm)
        # The exporter may have started completely in the meantime.
        assert container.stop() in {128 + signal.SIGTERM, 0}


@pytest.mark.parametrize("user", [None, 12345])
def test_settings_and_clouds_yaml_are_read_from_mounts(
    image: Image, tmp_path: Path, user: int | None
) -> None:
    """The mounts are read-only; the user is the image's or another one."""
    clouds = [{"name": "lab", "cloud": "lab", "images": [{"id": GOLDEN, "alias": "golden"}]}]
    files = {
        CONFIG: {"interval": "1s", "timeout": "1s", "clouds": clouds},
        "/etc/openstack/clouds.yaml": CLOUDS_YAML,
    }
    mounted: dict[str, Path] = {}
    for number, (inside, content) in enumerate(files.items()):
        mounted[inside] = tmp_path / str(number)
        mounted[inside].write_text(yaml.safe_dump(content))
    exists = f'openstack_image_exists{{cloud="lab",image="golden",image_id="{GOLDEN}"}} 1.0'
    arguments = [f"--config.file={CONFIG}"]
    with Container(image, arguments, tmp_path / "log", mounted, user=user) as container:
        cloud = container.start("python", "-c", CLOUD)
        wait_until(
            lambda: exists in (container.get("/metrics") or ""),
            2 * BOUND,
            details=container.log.read_text,
        )
        assert container.stop() == 0
        cloud.communicate(timeout=BOUND)
