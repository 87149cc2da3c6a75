"""Settings: defaults, inheritance, and the resolved clouds."""

import json
import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.config import (
    Cloud,
    Expect,
    Image,
    ResolvedCloud,
    ResolvedImage,
    Settings,
    SettingsError,
    parse,
    reference,
    resolved_clouds,
    resolved_shard,
)
from exporter.model.discovery import DiscoveryRule
from exporter.model.expectations.checks import EXPECTATIONS
from exporter.model.sharding import UNSHARDED
from tests.config.reading import MINIMAL, Read, clouds_of
from tests.config.test_sources import PRECEDENCE

UUID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
SECRET = "hunter2"


def test_defaults(read: Read) -> None:
    invocation = read(MINIMAL)
    settings = invocation.settings
    assert (invocation.command, invocation.image_id) == ("run", None)
    assert settings.web.listen_address == (":10292",)
    assert (settings.log.level, settings.log.format) == ("info", "logfmt")
    assert resolved_shard(settings) == UNSHARDED
    assert resolved_clouds(settings) == (
        ResolvedCloud(
            name="a",
            cloud=None,
            region=None,
            image_service_name=None,
            interface=None,
            api=None,
            endpoint=None,
            token=None,
            token_file=None,
            os_client_config=None,
            images=(ResolvedImage("b", "b"),),
            properties=(),
            interval=60.0,
            timeout=10.0,
            concurrency=16,
            rate_limit=None,
            max_stale=900.0,
            discover=(),
            discovery_interval=300.0,
            forget_after=86400.0,
            label_value_limit=512,
        ),
    )


def test_discovery_rules(read: Read) -> None:
    content = """\
clouds:
  - name: a
    discover:
      - {name: "ubuntu-*", tag: golden, status: active}
      - name: "windows-*"
        tag: [golden, signed]
        owner: p
        visibility: public
        status: [active, deactivated]
        property: {os_distro: windows, os_version: "11"}
        most_recent: true
        alias: windows
"""
    (resolved,) = clouds_of(content, read)
    assert resolved.images == ()
    assert resolved.discover == (
        DiscoveryRule(name="ubuntu-*", tags=("golden",), statuses=("active",)),
        DiscoveryRule(
            name="windows-*",
            tags=("golden", "signed"),
            owner="p",
            visibility="public",
            statuses=("active", "deactivated"),
            properties=(("os_distro", "windows"), ("os_version", "11")),
            alias="windows",
        ),
    )


def test_cloud_overrides_times_of_discovery(read: Read) -> None:
    content = """\
discovery_interval: 10m
forget_after: 1h
clouds:
  - {name: a, images: [b]}
  - {name: b, images: [b], discovery_interval: 20m, forget_after: 2h}
"""
    assert [
        (cloud.discovery_interval, cloud.forget_after) for cloud in clouds_of(content, read)
    ] == [
        (600.0, 3600.0),
        (1200.0, 7200.0),
    ]
    (slow,) = clouds_of("interval: 20m\n" + MINIMAL, read)
    assert slow.discovery_interval == 1200.0


def test_list_needs_neither_images_nor_clouds(tmp_path: Path) -> None:
    assert resolved_clouds(parse(["list"], {}).settings) == ()
    path = tmp_path / "exporter.yml"
    path.write_text("clouds: [{name: a}]")
    (resolved,) = resolved_clouds(parse([f"--config.file={path}", "list"], {}).settings)
    assert (resolved.name, resolved.images, resolved.discover) == ("a", (), ())


def test_images_are_ids_or_mappings(read: Read) -> None:
    content = (
        f"clouds: [{{name: a, images: [{UUID}, {{id: b, alias: golden, "
        "expect: {status: [active, queued], protected: true, public: false, max_age: 90d}}]}]"
    )
    assert clouds_of(content, read)[0].images == (
        ResolvedImage(UUID, UUID),
        ResolvedImage(
            "b",
            "golden",
            (
                ("status", ("active", "queued")),
                ("protected", True),
                ("public", False),
                ("max_age", 7_776_000.0),
            ),
        ),
    )


def test_same_id_in_two_clouds_and_same_alias_twice_are_accepted(read: Read) -> None:
    aliased = "[{id: b, alias: x}, {id: c, alias: x}]"
    content = f"clouds: [{{name: a, images: {aliased}}}, {{name: d, images: [b]}}]"
    assert [len(resolved.images) for resolved in clouds_of(content, read)] == [2, 1]


def test_cloud_overrides_general_settings(read: Read) -> None:
    content = (
        "interval: 30s\ntimeout: 5s\nconcurrency: 4\nrate_limit: 50\nmax_stale: 10m\n"
        "properties: [os_distro]\n"
        "clouds:\n"
        "  - {name: a, images: [b]}\n"
        "  - {name: c, images: [b], interval: 1m, timeout: 20s, concurrency: 2, rate_limit: none,"
        " max_stale: 2m, properties: []}\n"
    )
    inherits, overrides = clouds_of(content, read)

    def times(resolved: ResolvedCloud) -> tuple[object, ...]:
        return (
            resolved.interval,
            resolved.timeout,
            resolved.concurrency,
            resolved.rate_limit,
            resolved.max_stale,
            resolved.properties,
        )

    assert times(inherits) == (30.0, 5.0, 4, 50.0, 600.0, ("os_distro",))
    assert times(overrides) == (60.0, 20.0, 2, None, 120.0, ())


@pytest.mark.parametrize(("interval", "max_stale"), [("1m", 900.0), ("5m", 900.0), ("10m", 1800.0)])
def test_default_of_max_stale(interval: str, max_stale: float, read: Read) -> None:
    content = f"clouds: [{{name: a, images: [b], interval: {interval}}}]"
    assert clouds_of(content, read)[0].max_stale == max_stale


def test_limits_are_inclusive(read: Read) -> None:
    (resolved,) = clouds_of(f"interval: 1s\ntimeout: 1s\nmax_stale: 2s\n{MINIMAL}", read)
    assert (resolved.interval, resolved.timeout, resolved.max_stale) == (1.0, 1.0, 2.0)


def test_keys_for_clouds_yaml(read: Read) -> None:
    content = (
        "clouds: [{name: a, cloud: otc, region: eu-de, interface: internal, api: v1, images: [b]}]"
    )
    (resolved,) = clouds_of(content, read)
    assert (resolved.cloud, resolved.region, resolved.interface, resolved.api) == (
        "otc",
        "eu-de",
        "internal",
        "v1",
    )


def test_endpoint_with_a_token(read: Read) -> None:
    url = "https://[::1]:9292/image/"
    content = f"clouds: [{{name: a, endpoint: '{url}', token: {SECRET}, images: [b]}}]"
    (resolved,) = clouds_of(content, read)
    assert resolved.endpoint == url
    assert resolved.token is not None
    assert resolved.token.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("written", "expected"), [("token", "{}/token"), ("/run/token", "/run/token")]
)
def test_relative_token_file_starts_at_the_settings_file(
    written: str, expected: str, tmp_path: Path, read: Read
) -> None:
    (resolved,) = clouds_of(
        f"clouds: [{{name: a, endpoint: 'http://a', token_file: {written}, images: [b]}}]", read
    )
    assert resolved.token_file == Path(expected.format(tmp_path))


def test_relative_token_file_without_a_settings_file() -> None:
    cloud = {"name": "a", "endpoint": "http://a", "token_file": "t", "images": ["b"]}
    (resolved,) = resolved_clouds(
        parse([], {"IMAGE_EXPORTER_CLOUDS": json.dumps([cloud])}).settings
    )
    assert resolved.token_file == Path("t")


def test_demo_ignores_clouds(read: Read) -> None:
    settings = read(
        "clouds: nonsense\nlog: {level: debug}",
        "demo",
        "--web.listen-address=:1",
        IMAGE_EXPORTER_CLOUDS="nonsense",
    ).settings
    assert (settings.web.listen_address, settings.log.level) == ((":1",), "debug")
    assert resolved_clouds(settings) == ()
    assert resolved_clouds(parse(["demo"], {}).settings) == ()


def test_interval_of_demo_is_checked_against_written_times_only() -> None:
    """The demo has its own default timeout, so a short interval alone is valid."""
    assert parse(["demo", "--interval=2s"], {}).settings.interval == 2.0
    with pytest.raises(SettingsError, match=r"^flag --timeout: '3s' is longer than the interval"):
        parse(["demo", "--interval=2s", "--timeout=3s"], {})


def test_cloud_can_be_built_from_models() -> None:
    cloud = Cloud(name="a", endpoint="http://a", images=(Image(id="b"), Image(id="c", alias="d")))
    (resolved,) = resolved_clouds(
        parse(["demo"], {}).settings.model_copy(update={"clouds": (cloud,)})
    )
    assert resolved.images == (ResolvedImage("b", "b"), ResolvedImage("c", "d"))


def test_show_has_an_image_id(read: Read) -> None:
    invocation = read(MINIMAL, "show", UUID)
    assert (invocation.command, invocation.image_id) == ("show", UUID)


def test_no_text_or_log_has_a_token(
    read: Read, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Covers repr, str, dumps and the debug log of pydantic-settings."""
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level(logging.DEBUG)
    cloud = {"name": "a", "endpoint": "http://a", "token": SECRET, "images": ["b"]}
    for invocation in (
        read(json.dumps({"clouds": [cloud]})),
        parse([], {"IMAGE_EXPORTER_CLOUDS": json.dumps([cloud])}),
    ):
        settings = invocation.settings
        resolved = resolved_clouds(settings)[0]
        assert resolved.token is not None
        assert resolved.token.get_secret_value() == SECRET
        texts = (
            repr(invocation),
            str(settings),
            repr(resolved),
            str(settings.model_dump()),
            settings.model_dump_json(),
            str(settings.model_dump(mode="json")),
        )
        assert all(SECRET not in text for text in texts)
    assert "Resolving settings" in caplog.text
    assert SECRET not in caplog.text


def test_settings_are_immutable(read: Read) -> None:
    settings = read(MINIMAL).settings
    for model, key in ((settings, "interval"), (settings.web, "listen_address")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, key, None)
    with pytest.raises(TypeError):
        resolved_clouds(settings)[0].images[0].expect[0] = ()  # type: ignore[index]  # on purpose


def test_reference_has_every_setting() -> None:
    rows = {row.key: row for row in reference()}
    assert rows["web.listen_address"][1:4] == (
        "--web.listen-address",
        "IMAGE_EXPORTER_WEB__LISTEN_ADDRESS",
        ":10292",
    )
    assert rows["clouds"][1:3] == ("—", "IMAGE_EXPORTER_CLOUDS")
    assert rows["clouds[].images[].expect"][1:4] == ("—", "—", "those of the cloud")
    assert rows["expect.max_age"][1:4] == ("—", "—", "none")
    assert rows["max_stale"].default == "the larger of 15m and 3 intervals"
    assert rows["clouds[].name"].default == "required"
    assert rows["interval"].default == "60s"
    elsewhere = {"clouds", "labels", "shard.index", "shard.total"}
    assert [
        key
        for key in rows
        if "[]" not in key and key not in elsewhere and not key.startswith("expect.")
    ] == ["config.file", "config.reload_on_change", *PRECEDENCE]
    keys_of_expect = [key.partition(".")[2] for key in rows if key.startswith("expect.")]
    assert keys_of_expect == list(Expect.model_fields) == list(EXPECTATIONS)
    assert all(row.meaning.endswith(".") and row.default for row in rows.values())


def test_documented_defaults_are_the_defaults(read: Read) -> None:
    settings: Settings = read(MINIMAL).settings
    rows = {row.key: row.default for row in reference()}
    assert rows["log.level"] == settings.log.level
    assert rows["log.format"] == settings.log.format
    assert rows["concurrency"] == str(settings.concurrency)
    assert (rows["interval"], settings.interval) == ("60s", 60.0)
    assert (rows["web.listen_address"],) == settings.web.listen_address


@pytest.mark.parametrize(
    ("times", "timeout"),
    [
        ("", 10.0),
        ("interval: 5s\n", 5.0),
        ("interval: 10s\n", 10.0),
        ("interval: 15s\n", 10.0),
        ("interval: 15s\ntimeout: 15s\n", 15.0),
    ],
)
def test_default_timeout_is_at_most_the_interval(times: str, timeout: float, read: Read) -> None:
    """As in Prometheus, so that a short interval alone is valid."""
    (resolved,) = clouds_of(f"{times}{MINIMAL}", read)
    assert resolved.timeout == timeout


def test_default_timeout_of_a_cloud_is_at_most_its_interval(read: Read) -> None:
    content = "clouds: [{name: a, images: [b], interval: 2s}, {name: c, images: [d]}]"
    assert [cloud.timeout for cloud in clouds_of(content, read)] == [2.0, 10.0]


def test_images_without_expectations_share_one_object(read: Read) -> None:
    """An object of its own would take 1 KiB per image."""
    (cloud,) = read("clouds: [{name: a, images: [b, {id: c, alias: d}]}]").settings.clouds
    one, other = cloud.images
    assert one.expect is other.expect


@pytest.mark.slow
def test_ten_thousand_images(read: Read) -> None:
    images = "\n".join(
        f"  - {{id: i{n}, alias: a{n}, expect: {{status: active}}}}" for n in range(10_000)
    )
    (resolved,) = clouds_of(f"clouds:\n- name: a\n  images:\n{images}", read)
    assert len(resolved.images) == 10_000
    assert resolved.images[-1] == ResolvedImage("i9999", "a9999", (("status", ("active",)),))
