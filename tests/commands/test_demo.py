import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from exporter.commands.demo import demo_cloud, demo_settings
from exporter.config import parse
from exporter.demo.story import IMAGES
from tests.support.program import start_program
from tests.support.wait import wait_until


def test_demo_prints_its_urls_and_serves_twelve_images(tmp_path: Path) -> None:
    proxy = "http://127.0.0.1:1"
    with start_program(
        tmp_path,
        "demo",
        "--interval=1s",
        "--web.listen-address=127.0.0.1:0",
        HTTP_PROXY=proxy,
        http_proxy=proxy,
        ALL_PROXY=proxy,
    ) as program:
        urls = wait_until(
            lambda: re.findall(r"(http://\S+)(/metrics|/)$", program.stdout, re.MULTILINE)
        )
        assert urls == [(f"http://127.0.0.1:{program.port}", path) for path in ("/metrics", "/")]
        assert "polled every 1 seconds" in program.stdout
        assert "4 minutes" in program.stdout
        program.wait_for_metric("openstack_image_api_up", 1)
        metrics = program.metrics()
        assert metrics.values("openstack_image_exists") == [1.0] * 12
        assert metrics.value("openstack_image_exporter_cycle_interval_seconds") == 1
        assert all(alias in program.page("/")[1] for alias in IMAGES)
        config = program.page("/config")[1]
        assert 'interval: "1s"  # flag --interval' in config
        assert 'timeout: "1s"  # the demo' in config
        assert len(yaml.safe_load(config)["clouds"][0]["images"]) == 12
        program.stop()
        assert all(line.startswith("demo: ") for line in program.stdout.splitlines())


def test_url_has_localhost_for_all_addresses(tmp_path: Path) -> None:
    """A browser cannot open ``[::]``."""
    with start_program(tmp_path, "demo", "--web.listen-address=:0") as program:
        wait_until(lambda: f"http://localhost:{program.port}/metrics" in program.stdout)
        program.stop(signal.SIGINT)


def test_demo_continues_after_stdout_is_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    flags = ("--interval=1s", "--web.listen-address=127.0.0.1:0")
    with start_program(tmp_path, "demo", *flags, stdout_to=writer) as program:
        os.close(writer)
        program.wait_for_metric("openstack_image_api_up", 1)
        program.stop()


@pytest.mark.parametrize(
    ("argv", "environ", "wanted"),
    [
        ([], {}, (5.0, 2.0, ("os_distro", "os_version"))),
        (["--interval=1s"], {}, (1.0, 1.0, ("os_distro", "os_version"))),
        (["--interval=1m", "--timeout=30s", "--properties=a"], {}, (60.0, 30.0, ("a",))),
        ([], {"IMAGE_EXPORTER_INTERVAL": "20s"}, (20.0, 2.0, ("os_distro", "os_version"))),
    ],
)
def test_written_settings_override_defaults_of_the_demo(
    argv: list[str], environ: dict[str, str], wanted: tuple[float, float, tuple[str, ...]]
) -> None:
    settings = parse(["demo", *argv], environ).settings
    resolved = demo_cloud(demo_settings(settings, "http://127.0.0.1:9292"))
    assert (resolved.interval, resolved.timeout, resolved.properties) == wanted
    assert (resolved.endpoint, resolved.api) == ("http://127.0.0.1:9292", "v1")
    assert [image.alias for image in resolved.images] == list(IMAGES)
