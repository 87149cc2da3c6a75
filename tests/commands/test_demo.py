"""Tests of exporter.commands.demo: what a newcomer sees."""

import os
import re
import signal
from pathlib import Path

import pytest

from exporter.commands.demo import demo_cloud
from exporter.config import parse
from exporter.demo.story import IMAGES
from tests.support.program import start_program
from tests.support.wait import wait_until


def test_it_says_where_to_look_and_shows_twelve_images(tmp_path: Path) -> None:
    """Its flags count, no proxy keeps it from its own service, and SIGTERM ends it."""
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
        program.stop()
        assert all(line.startswith("demo: ") for line in program.stdout.splitlines())


def test_a_public_address_is_shown_as_one_that_a_browser_takes(tmp_path: Path) -> None:
    """All addresses of the machine are ``localhost`` to who sits before it; Ctrl-C ends it."""
    with start_program(tmp_path, "demo", "--web.listen-address=:0") as program:
        wait_until(lambda: f"http://localhost:{program.port}/metrics" in program.stdout)
        program.stop(signal.SIGINT)


def test_it_goes_on_when_nobody_reads_its_story(tmp_path: Path) -> None:
    """A pipe whose reader has left ends neither the demo nor its story, and costs no status."""
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
def test_its_own_settings_give_way_to_those_given(
    argv: list[str], environ: dict[str, str], wanted: tuple[float, float, tuple[str, ...]]
) -> None:
    """It is quick by itself, and what is asked for counts."""
    settings = parse(["demo", *argv], environ).settings
    planned = demo_cloud(settings, "http://127.0.0.1:9292")
    assert (planned.interval, planned.timeout, planned.properties) == wanted
    assert (planned.endpoint, planned.api) == ("http://127.0.0.1:9292", "v1")
    assert [image.alias for image in planned.images] == list(IMAGES)
