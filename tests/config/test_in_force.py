"""Text of the configuration in force, which /config shows."""

import json
from typing import Any

import pytest
import yaml
from pydantic_settings import InitSettingsSource

from exporter.config import describe, fixed_settings, reference
from exporter.config.sources import CompressedClouds
from tests.config.reading import Read

CONTENT = """\
interval: 30s
expect: {protected: true}
clouds:
  - name: lab
    endpoint: http://127.0.0.1:1
    token: very-secret-token
    timeout: 3s
    images: [i, {id: j, alias: golden, expect: {size: 1GiB..2GiB}}]
  - {name: other, cloud: entry, discover: [{name: x*}], max_stale: 1h}
"""


def text_of(read: Read, content: str = CONTENT, *argv: str, **environ: str) -> str:
    invocation = read(content, *argv, **environ)
    return describe(invocation.settings, invocation.sources)


def line(text: str, start: str) -> str:
    """Return the first line that starts with this text, without the file's folder."""
    return next(line for line in text.splitlines() if line.strip().startswith(start)).strip()


def test_every_general_setting_and_every_setting_of_a_cloud_is_shown(read: Read) -> None:
    document = yaml.safe_load(text_of(read))
    for row in reference():
        if "[].images[]" in row.key or "[].discover[]" in row.key or row.key == "clouds":
            continue
        is_of_cloud = row.key.startswith("clouds[].")
        value: Any = document["clouds"][0] if is_of_cloud else document
        for key in row.key.removeprefix("clouds[].").split("."):
            value = value[key]


def test_defaults_and_inherited_values_are_filled_in(read: Read) -> None:
    document = yaml.safe_load(text_of(read))
    lab, other = document["clouds"]
    assert (document["concurrency"], document["forget_after"]) == (16, "24h")
    assert (lab["interval"], lab["timeout"], other["timeout"]) == ("30s", "3s", "10s")
    assert (lab["max_stale"], other["max_stale"]) == ("15m", "1h")
    assert lab["images"] == ["i", {"id": "j", "alias": "golden", "expect": {"size": "1GiB..2GiB"}}]
    assert other["discover"] == [{"name": "x*"}]


def test_each_value_has_its_source(read: Read) -> None:
    text = text_of(
        read, CONTENT, "--properties=a", "--properties=b", IMAGE_EXPORTER_LOG__LEVEL="warn"
    )
    assert line(text, "properties:") == 'properties: ["a", "b"]  # flag --properties'
    assert line(text, "level:") == 'level: "warn"  # environment variable IMAGE_EXPORTER_LOG__LEVEL'
    assert line(text, "interval:").endswith("exporter.yml: interval")
    assert line(text, "protected:").endswith("exporter.yml: expect.protected")
    assert line(text, "concurrency:") == "concurrency: 16  # default: 16"
    assert line(text, "timeout:") == "timeout: null  # default: the smaller of 10s and the interval"
    assert line(text, "clouds:").endswith("exporter.yml")
    assert line(text, 'max_stale: "15m"').endswith("# default: the larger of 15m and 3 intervals")


@pytest.mark.parametrize("is_variable", [False, True])
def test_no_token_is_shown(is_variable: bool, read: Read) -> None:
    clouds = yaml.safe_load(CONTENT)["clouds"]
    environ = {"IMAGE_EXPORTER_CLOUDS": json.dumps(clouds)} if is_variable else {}
    text = text_of(read, CONTENT, **environ)
    assert "very-secret-token" not in text
    assert yaml.safe_load(text)["clouds"][0]["token"] == "***"
    source = "environment variable IMAGE_EXPORTER_CLOUDS" if is_variable else "exporter.yml"
    assert line(text, "clouds:").endswith(source)


def test_hostile_text_stays_in_its_value(read: Read) -> None:
    """A name cannot end its line, or begin a comment."""
    clouds = json.dumps([{"name": 'a"  # b', "endpoint": "http://x", "images": ["i"]}])
    text = text_of(read, f"clouds: {clouds}")
    assert yaml.safe_load(text)["clouds"][0]["name"] == 'a"  # b'


def test_settings_that_require_a_restart_are_those_of_the_start(read: Read) -> None:
    hosts = "web: {allowed_hosts: [a.example], config: {file: a.yml}}\n"
    start = read(CONTENT + hosts)
    fixed = fixed_settings(start.settings, start.sources)
    reloaded = read(CONTENT.replace("30s", "40s") + hosts.replace("a.", "b."))
    text = describe(reloaded.settings, reloaded.sources, fixed)
    assert line(text, "interval:").startswith('interval: "40s"  # ')
    assert line(text, 'file: "b.yml"')
    in_force = line(text, "allowed_hosts:")
    assert in_force.startswith('allowed_hosts: ["a.example"]  # ')
    assert in_force.endswith('web.allowed_hosts; after a restart: ["b.example"]')
    assert "restart" not in line(text, "listen_address:")


def test_property_that_is_named_like_a_date_is_shown(read: Read) -> None:
    """Other readers of YAML return a date, which cannot be a key in JSON."""
    text = text_of(read, "clouds: [{name: a, discover: [{property: {2026-01-02: x}}]}]")
    assert '- {"property": {"2026-01-02": "x"}}' in text


def test_written_clouds_are_kept_compressed_and_without_secrets(read: Read) -> None:
    """Those of 100,000 images with aliases would take 30 MiB until the next reload."""
    sources = read(CONTENT).sources
    # Other sources of pydantic-settings hold the values of all of them.
    assert {type(source.source) for source in sources} == {InitSettingsSource}
    *_, file = sources
    clouds = file.raw["clouds"]
    assert isinstance(clouds, CompressedClouds)
    assert "very-secret-token" not in str(clouds.decompress())
    assert [cloud["name"] for cloud in clouds.decompress()] == ["lab", "other"]
