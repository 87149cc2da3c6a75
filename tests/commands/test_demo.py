import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from exporter.commands.demo import added_settings, demo_settings
from exporter.config import parse, resolved_clouds
from exporter.demo.images import IMAGES
from exporter.demo.services import running_services
from exporter.demo.v2_images import V2_IMAGES
from tests.support.program import start_program
from tests.support.wait import wait_until


def test_demo_prints_its_urls_and_serves_two_clouds(tmp_path: Path) -> None:
    """It uses neither a proxy nor the user's own configuration of OpenStack."""
    proxy = "http://127.0.0.1:1"
    for name in ("clouds.yaml", "secure.yaml"):
        (tmp_path / name).write_text("clouds: broken", "utf-8")
    with start_program(
        tmp_path,
        "demo",
        "--interval=1s",
        "--web.listen-address=127.0.0.1:0",
        "--metrics.exclude=python_info",
        HTTP_PROXY=proxy,
        http_proxy=proxy,
        ALL_PROXY=proxy,
        OS_CLOUD="another",
        OS_REGION_NAME="elsewhere",
        IMAGE_EXPORTER_OS_CLIENT_CONFIG="clouds.yaml",
    ) as program:
        urls = wait_until(
            lambda: re.findall(r"(http://\S+)(/metrics|/)$", program.stdout, re.MULTILINE)
        )
        assert urls == [(f"http://127.0.0.1:{program.port}", path) for path in ("/metrics", "/")]
        assert "polled every 1 seconds" in program.stdout
        assert "4 minutes" in program.stdout
        wait_until(lambda: program.page("/-/ready")[0] == 200)
        metrics = program.metrics()
        assert metrics.values("python_info") == []
        assert metrics.values("openstack_image_exists", cloud="demo").count(1) == len(IMAGES) - 1
        assert metrics.values("openstack_image_exists", cloud="demo-v2") == [1] * len(V2_IMAGES)
        intervals = metrics.values("openstack_image_exporter_cycle_interval_seconds")
        assert intervals == [1.0, 1.0]
        assert all(alias in program.page("/")[1] for alias in IMAGES)
        config = program.page("/config")[1]
        assert 'interval: "1s"  # flag --interval' in config
        assert 'timeout: "1s"  # the demo' in config
        assert re.search(r'os_client_config: "/proc/self/fd/\d+"  # the demo', config)
        first, second = yaml.safe_load(config)["clouds"]
        assert len(first["images"]) == len(IMAGES)
        assert second["discover"]
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
    with start_program(tmp_path, "demo", *flags, stdout_to=writer, is_preloaded=False) as program:
        os.close(writer)
        program.wait_for_metric("openstack_image_api_up", 1)
        program.stop()


@pytest.mark.parametrize(
    ("argv", "environ", "wanted"),
    [
        ([], {}, (5.0, 2.0, 5.0, 30.0)),
        (["--interval=1s"], {}, (1.0, 1.0, 1.0, 30.0)),
        (["--interval=1m", "--timeout=30s"], {}, (60.0, 30.0, 60.0, 30.0)),
        (["--discovery-interval=1m", "--forget-after=1h"], {}, (5.0, 2.0, 60.0, 3600.0)),
        ([], {"IMAGE_EXPORTER_INTERVAL": "20s"}, (20.0, 2.0, 20.0, 30.0)),
    ],
)
def test_written_settings_override_defaults_of_the_demo(
    argv: list[str], environ: dict[str, str], wanted: tuple[float, ...]
) -> None:
    settings = parse(["demo", *argv], environ).settings
    with running_services() as services:
        added = added_settings(settings, services, Path("clouds.yaml"))
    first, second = resolved_clouds(demo_settings(settings, added))
    for cloud in (first, second):
        assert (
            cloud.interval,
            cloud.timeout,
            cloud.discovery_interval,
            cloud.forget_after,
        ) == wanted
    assert (first.endpoint, first.api) == (services.first.url, "v1")
    assert [image.alias for image in first.images] == list(IMAGES)
    assert (second.cloud, second.endpoint) == ("demo-v2", None)


def test_properties_that_are_written_override_those_of_the_demo() -> None:
    settings = parse(["demo", "--properties=a"], {}).settings
    with running_services() as services:
        added = added_settings(settings, services, Path("clouds.yaml"))
    assert {cloud.properties for cloud in resolved_clouds(demo_settings(settings, added))} == {
        ("a",)
    }
