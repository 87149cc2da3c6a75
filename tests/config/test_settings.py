"""Settings: sources, their precedence, and the resolved clouds."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.config import (
    Cloud,
    Expect,
    Image,
    Invocation,
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
from exporter.model.sharding import UNSHARDED, Shard

UUID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
MINIMAL = "clouds: [{name: a, images: [b]}]\n"
SECRET = "hunter2"

Read = Callable[..., Invocation]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that parses a file, flags and variables."""

    def read(content: str, *argv: str, **environ: str) -> Invocation:
        path = tmp_path / "exporter.yml"
        path.write_text(content)
        return parse([f"--config.file={path}", *argv], environ)

    return read


def clouds_of(content: str, read: Read) -> tuple[ResolvedCloud, ...]:
    """Return the resolved clouds of a file."""
    return resolved_clouds(read(content).settings)


def test_defaults(read: Read) -> None:
    invocation = read(MINIMAL)
    settings = invocation.settings
    assert (invocation.command, invocation.image_id) == ("run", None)
    assert settings.web.listen_address == ":10292"
    assert (settings.log.level, settings.log.format) == ("info", "logfmt")
    assert resolved_shard(settings) == UNSHARDED
    assert resolved_clouds(settings) == (
        ResolvedCloud(
            name="a",
            cloud=None,
            region=None,
            interface=None,
            api="auto",
            endpoint=None,
            token=None,
            token_file=None,
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


PRECEDENCE = {
    # key, in the file, variable, flag, and what is read of each
    "web.config.file": ("a", "b", "c", (Path("a"), Path("b"), Path("c"))),
    "web.listen_address": (":1", ":2", ":3", (":1", ":2", ":3")),
    "web.systemd_socket": (True, "false", "true", (True, False, True)),
    "web.external_url": (
        "http://a/b",
        "http://c",
        "http://d/",
        ("http://a/b", "http://c", "http://d/"),
    ),
    "web.route_prefix": ("a", "/b/", "/", ("/a", "/b", "/")),
    "web.enable_lifecycle": (True, "false", "true", (True, False, True)),
    "log.level": ("debug", "warning", "error", ("debug", "warning", "error")),
    "log.format": ("json", "logfmt", "json", ("json", "logfmt", "json")),
    "interval": ("20s", "30s", "1m30s", (20.0, 30.0, 90.0)),
    "timeout": ("1s", "2s", "500ms", (1.0, 2.0, 0.5)),
    "concurrency": (1, "2", "3", (1, 2, 3)),
    "rate_limit": (1, "2.5", "none", (1.0, 2.5, None)),
    "max_stale": ("20m", "30m", "1h", (1200.0, 1800.0, 3600.0)),
    "discovery_interval": ("10m", "20m", "30m", (600.0, 1200.0, 1800.0)),
    "forget_after": ("1h", "2h", "1d", (3600.0, 7200.0, 86400.0)),
    "properties": (["a"], "b,c", "d, e", (("a",), ("b", "c"), ("d", "e"))),
}


@pytest.mark.parametrize("key", PRECEDENCE)
def test_flags_win_over_the_environment_over_the_file(key: str, read: Read) -> None:
    in_file, variable, flag, values = PRECEDENCE[key]
    written: object = in_file
    for part in reversed(key.split(".")):
        written = {part: written}
    content = MINIMAL + json.dumps(written)[1:-1]
    environ = {f"IMAGE_EXPORTER_{key.replace('.', '__').upper()}": variable}
    argv = f"--{key.replace('_', '-')}={flag}"

    def value(invocation: Invocation) -> object:
        setting: object = invocation.settings
        for part in key.split("."):
            setting = getattr(setting, part)
        return setting

    invocations = (read(content), read(content, **environ), read(content, argv, **environ))
    assert tuple(map(value, invocations)) == values


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--web.enable-lifecycle"], True),
        (["--web.enable-lifecycle=true"], True),
        (["--web.enable-lifecycle=false"], False),
        (["check", "--web.enable-lifecycle"], True),
        ([], False),
    ],
)
def test_switch_needs_no_value(argv: list[str], value: bool, read: Read) -> None:
    """As in Prometheus, a flag without a value means true."""
    assert read(MINIMAL, *argv).settings.web.enable_lifecycle is value


@pytest.mark.parametrize(
    ("url", "path", "prefix"),
    [
        (None, None, ""),
        ("https://example.com", None, ""),
        ("https://example.com/", None, ""),
        ("https://example.com/a/b/", None, "/a/b"),
        ("https://example.com/a", "/", ""),
        ("https://example.com/a", "c", "/c"),
        (None, "/c/d/", "/c/d"),
    ],
)
def test_prefix_of_all_pages(url: str | None, path: str | None, prefix: str, read: Read) -> None:
    """The rules are those of Prometheus."""
    argv = [f"--web.external-url={url}"] if url else []
    argv += [f"--web.route-prefix={path}"] if path else []
    assert read(MINIMAL, *argv).settings.web.prefix == prefix


def test_keys_of_one_group_come_from_several_sources(read: Read) -> None:
    log = read(f"{MINIMAL}log: {{level: debug, format: json}}", "--log.level=error").settings.log
    assert (log.level, log.format) == ("error", "json")


@pytest.mark.parametrize("index", ["2", "exporter-2", "image-exporter.v1-002"])
def test_shard_total_and_index_come_from_several_sources(index: str, read: Read) -> None:
    content = f"{MINIMAL}shard: {{total: 3}}"
    assert resolved_shard(read(content, IMAGE_EXPORTER_SHARD__INDEX=index).settings) == Shard(2, 3)
    both = {"IMAGE_EXPORTER_SHARD__INDEX": index, "IMAGE_EXPORTER_SHARD__TOTAL": "3"}
    assert resolved_shard(read(MINIMAL, **both).settings) == Shard(2, 3)
    flags = ("--shard.index", "1", "--shard.total=2")
    assert resolved_shard(read(content, *flags, **both).settings) == Shard(1, 2)


def test_invalid_shard_error_names_its_source(read: Read) -> None:
    variable = "environment variable IMAGE_EXPORTER_SHARD__INDEX"
    with pytest.raises(SettingsError) as caught:
        read(f"{MINIMAL}shard: {{total: 3}}", IMAGE_EXPORTER_SHARD__INDEX="exporter-3")
    assert caught.value.lines == (
        f"{variable}: 'exporter-3' is not a shard of 3; accepted: 0 to 2, the first is 0",
    )
    with pytest.raises(SettingsError) as caught:
        read(MINIMAL, "--shard.total=3")
    assert caught.value.lines == (
        "flag --shard.total: '3' needs shard.index beside it; accepted: both or none",
    )


def test_empty_variable_counts_as_not_set(read: Read) -> None:
    assert read(MINIMAL, IMAGE_EXPORTER_INTERVAL="").settings.interval == 60.0


def test_variables_of_others_are_ignored(read: Read) -> None:
    """Kubernetes sets variables for a Service named image-exporter."""
    kubernetes = {
        "IMAGE_EXPORTER_SERVICE_HOST": "10.0.0.1",
        "IMAGE_EXPORTER_SERVICE_PORT": "10292",
        "IMAGE_EXPORTER_SERVICE_PORT_HTTP": "10292",
        "IMAGE_EXPORTER_PORT": "tcp://10.0.0.1:10292",
        "IMAGE_EXPORTER_PORT_10292_TCP": "tcp://10.0.0.1:10292",
        "IMAGE_EXPORTER_PORT_10292_TCP_PROTO": "tcp",
    }
    environ = {**kubernetes, "INTERVAL": "x", "image_exporter_interval": "x", "OS_CLOUD": "x"}
    assert read(MINIMAL, **environ).settings.interval == 60.0


def test_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setenv("IMAGE_EXPORTER_INTERVAL", "30s")
    assert read(MINIMAL).settings.interval == 60.0


def test_variable_names_the_settings_file(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yml", tmp_path / "other.yml"
    one.write_text(MINIMAL)
    other.write_text(MINIMAL.replace("name: a", "name: z"))
    environ = {"IMAGE_EXPORTER_CONFIG__FILE": str(one)}
    by_variable = parse([], environ).settings
    by_flag = parse([f"--config.file={other}"], environ).settings
    assert (by_variable.config.file, by_variable.clouds[0].name) == (one, "a")
    assert (by_flag.config.file, by_flag.clouds[0].name) == (other, "z")


def test_clouds_as_json_replace_those_of_the_file(read: Read) -> None:
    clouds = [{"name": "\U0001f600", "images": [{"id": "c", "expect": {"protected": True}}]}]
    environ = {"IMAGE_EXPORTER_CLOUDS": json.dumps(clouds)}
    for invocation in (read(MINIMAL, **environ), parse([], environ)):
        (resolved,) = resolved_clouds(invocation.settings)
        assert resolved.name == "\U0001f600"
        assert resolved.images == (ResolvedImage("c", "c", (("protected", True),)),)


def test_byte_order_mark_is_accepted(read: Read) -> None:
    assert clouds_of(f"\ufeff{MINIMAL}", read)[0].name == "a"


def test_anchors_and_merge_keys(read: Read) -> None:
    content = (
        "clouds:\n"
        "  - name: a\n"
        "    images:\n"
        "      - {id: b, expect: &golden {status: active, protected: true}}\n"
        "      - {id: c, expect: *golden}\n"
        "      - {id: d, expect: {<<: *golden, protected: false}}\n"
    )
    assert [image.expect for image in clouds_of(content, read)[0].images] == [
        (("status", ("active",)), ("protected", True)),
        (("status", ("active",)), ("protected", True)),
        (("status", ("active",)), ("protected", False)),
    ]


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
    assert (settings.web.listen_address, settings.log.level) == (":1", "debug")
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
    elsewhere = {"clouds", "shard.index", "shard.total"}
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
    assert (rows["interval"], rows["timeout"]) == ("60s", "10s")
    assert (settings.interval, settings.timeout) == (60.0, 10.0)


def test_ten_thousand_images(read: Read) -> None:
    images = "\n".join(
        f"  - {{id: i{n}, alias: a{n}, expect: {{status: active}}}}" for n in range(10_000)
    )
    (resolved,) = clouds_of(f"clouds:\n- name: a\n  images:\n{images}", read)
    assert len(resolved.images) == 10_000
    assert resolved.images[-1] == ResolvedImage("i9999", "a9999", (("status", ("active",)),))
