"""The image: built from a clean checkout, and run as a container engine would.

What is shown is what namespaces and chroot can show: the user, a root that is read-only, no
capabilities, process 1, a network of its own. An engine's seccomp profile and limits are not here.
"""

import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.container.box import Box, Image
from tests.support.program import BOUND, GOLDEN
from tests.support.wait import wait_until

PACKAGES = "lib/python3*/site-packages/*"
CONFIG = "/etc/openstack-image-exporter/exporter.yml"

CLOUD = f"""
from exporter.simulator import SimulatedImage, SimulatedImageService
from tests.support.fakes.keystone import SimulatedKeystone
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
def box(image: Image, tmp_path: Path) -> Box:
    """`docker run IMAGE demo`, not started yet."""
    return Box(image, ["demo"], tmp_path / "log")


def waits(box: Box) -> str:
    """The metrics, once the exporter is ready."""
    wait_until(lambda: box.get("/-/ready"), 2 * BOUND, details=box.log.read_text)
    return box.get("/metrics") or ""


def test_the_image_is_small(image: Image, capfd: pytest.CaptureFixture[str]) -> None:
    """The exporter and all it needs add at most 100 MB to the base image; the sizes are printed."""
    *base, added = (size / 1e6 for size in image.layers)
    with capfd.disabled():
        print(f"\nimage: {sum(base) + added:.0f} MB, of which the base {sum(base):.0f} MB")  # noqa: T201
    assert added <= 100


def test_the_image_holds_what_is_needed(image: Image) -> None:
    """No compiler, no pip of its own, no cache, and nothing of the checkout but the package."""
    environment = image.root / "opt/exporter"
    names = {path.name for place in ("*", "bin/*", PACKAGES) for path in environment.glob(place)}
    assert {"openstack-image-exporter", "exporter", "openstack"} <= names
    assert not {"pip", "hatchling", "tests", "clouds.yaml", "requirements.txt"} & names
    assert not [*environment.glob(f"{PACKAGES}/tests")]
    for place in ("src", "root/.cache", "opt/build", "opt/wheel"):
        assert not (image.root / place).exists()
    programs = {path.name for path in image.root.glob("usr/bin/*")}
    assert not {"cc", "gcc", "ld", "make", "git", "curl"} & programs


def test_all_code_is_compiled(image: Image) -> None:
    """Every module comes with its bytecode, good whatever its time: none can be written later."""
    for source in (image.root / "opt/exporter").rglob("exporter/**/*.py"):
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        # PEP 552: a hash of the source, that is not checked.
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0"


def test_nothing_of_the_build_shows(image: Image) -> None:
    """How pip reached its index is in no file and no variable of the image."""
    pip_conf = image.root / "etc/pip.conf"
    assert not pip_conf.exists() or not pip_conf.read_bytes()
    assert not [name for name in image.environ if "PIP" in name.upper() or "PROXY" in name.upper()]


def test_labels_say_what_it_is(image: Image) -> None:
    """OCI labels name the source, the version and the licence, by arguments of the build."""
    prefix = "org.opencontainers.image."
    labels = image.config["Labels"]
    assert labels[f"{prefix}version"] == "1.2.3"
    assert labels[f"{prefix}revision"] == "abc"
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert {f"{prefix}{name}" for name in ("title", "description", "source", "created")} <= set(
        labels
    )


def test_demo_answers(box: Box) -> None:
    """`demo` serves its metrics on all addresses, to all who can reach the port that is exposed."""
    assert box.image.config["ExposedPorts"] == {"10292/tcp": {}}
    with box:
        assert 'openstack_image_api_up{cloud="demo"} 1.0' in waits(box)
        status, sockets = box.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
    addresses = re.findall(r"^ *\d+: (0+):2834 0+:0000 0A", sockets, re.MULTILINE)
    assert status == 0
    assert addresses, sockets


def test_it_has_no_rights(box: Box) -> None:
    """Process 1 is user and group 10001, without groups, capabilities, or ways to get any."""
    with box:
        waits(box)
        _, status = box.run("cat", "/proc/1/status")
        _, first = box.run("cat", "/proc/1/cmdline")
    said = dict(line.split(":", 1) for line in status.splitlines())
    assert "openstack-image-exporter\0demo" in first
    assert said["Uid"].split() == said["Gid"].split() == ["10001"] * 4
    assert not said["Groups"].split()
    assert int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0
    assert int(said["NoNewPrivs"]) == 1


def test_nothing_can_be_written(box: Box) -> None:
    """It runs though its root is read-only, /tmp included: there is no place to write to."""
    with box:
        waits(box)
        for folder in ("/", "/tmp", "/opt/exporter"):  # noqa: S108  # not to be used
            status, said = box.run("python", "-c", f"open('{folder}/x', 'w')")
            assert status != 0
            assert "Read-only file system" in said


def test_its_health_is_asked_without_curl(box: Box) -> None:
    """The image's own health check says yes to an exporter that is well."""
    kind, *argv = box.image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    with box:
        waits(box)
        assert box.run(*argv) == (0, "200 Healthy\n")


def test_health_is_asked_where_it_listens(image: Image, tmp_path: Path) -> None:
    """The health check asks at the address that the command line gives."""
    _, *argv = image.config["Healthcheck"]["Test"]
    with Box(image, ["demo", "--web.listen-address=127.0.0.1:9999"], tmp_path / "log") as box:
        wait_until(lambda: box.get("/-/ready", port=9999), 2 * BOUND, details=box.log.read_text)
        assert box.run(*argv) == (0, "200 Healthy\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(box: Box, number: signal.Signals) -> None:
    """As process 1 it hears SIGTERM and Ctrl-C, and ends with 0 before an engine kills it."""
    assert box.image.config["StopSignal"] == "SIGTERM"
    with box:
        waits(box)
        assert box.end(number) == 0


def test_sigterm_ends_it_while_it_starts(box: Box) -> None:
    """It hears SIGTERM before it has imported what it needs, let alone listens."""

    def hears_sigterm() -> bool:
        caught = re.search(r"^SigCgt:\s*(\w+)$", box.status(), re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> signal.SIGTERM - 1 & 1)

    with box:
        wait_until(hears_sigterm)
        # It may have come further meanwhile.
        assert box.end() in {128 + signal.SIGTERM, 0}


@pytest.mark.parametrize("user", [None, 12345])
def test_it_watches_what_is_mounted(image: Image, tmp_path: Path, user: int | None) -> None:
    """Settings and clouds.yaml come from read-only mounts, for its own user and for another."""
    clouds = [{"name": "lab", "cloud": "lab", "images": [{"id": GOLDEN, "alias": "golden"}]}]
    files = {
        CONFIG: {"interval": "1s", "timeout": "1s", "clouds": clouds},
        "/etc/openstack/clouds.yaml": CLOUDS_YAML,
    }
    mounted = {}
    for number, (inside, content) in enumerate(files.items()):
        mounted[inside] = tmp_path / str(number)
        mounted[inside].write_text(yaml.safe_dump(content))
    exists = f'openstack_image_exists{{cloud="lab",image="golden",image_id="{GOLDEN}"}} 1.0'
    words = [f"--config.file={CONFIG}"]
    with Box(image, words, tmp_path / "log", mounted, user=user) as box:
        cloud = box.start("python", "-c", CLOUD)
        wait_until(
            lambda: exists in (box.get("/metrics") or ""), 2 * BOUND, details=box.log.read_text
        )
        assert box.end() == 0
        cloud.communicate(timeout=BOUND)
