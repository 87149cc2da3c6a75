"""Sources of settings: flags, environment variables, the file, and their precedence."""

import json
from pathlib import Path

import pytest

from exporter.config import (
    Invocation,
    ResolvedImage,
    SettingsError,
    parse,
    resolved_clouds,
    resolved_shard,
)
from exporter.model.sharding import Shard
from tests.config.reading import MINIMAL, Read, clouds_of

PRECEDENCE = {
    # key, in the file, variable, flag, and what is read of each
    "web.config.file": ("a", "b", "c", (Path("a"), Path("b"), Path("c"))),
    "web.listen_address": (":1", ":2,:3", ":4", ((":1",), (":2", ":3"), (":4",))),
    "web.systemd_socket": (True, "false", "true", (True, False, True)),
    "web.external_url": (
        "http://a/b",
        "http://c",
        "http://d/",
        ("http://a/b", "http://c", "http://d/"),
    ),
    "web.route_prefix": ("a", "/b/", "/", ("/a", "/b", "/")),
    "web.telemetry_path": ("/a", "/b/c", "/d", ("/a", "/b/c", "/d")),
    "web.enable_lifecycle": (True, "false", "true", (True, False, True)),
    "web.allowed_hosts": (["a.test"], "b.test,c", "D", (("a.test",), ("b.test", "c"), ("d",))),
    "web.connections_per_address": (1, "2", "3", (1, 2, 3)),
    "log.level": ("debug", "warn", "error", ("debug", "warning", "error")),
    "log.format": ("json", "logfmt", "json", ("json", "logfmt", "json")),
    "metrics.include": (
        ["openstack_image_*"],
        "openstack_image_status",
        "openstack_image_info,openstack_image_ex*",
        (
            ("openstack_image_*",),
            ("openstack_image_status",),
            ("openstack_image_info", "openstack_image_ex*"),
        ),
    ),
    "metrics.exclude": (
        ["python_*"],
        "python_*",
        "process_*",
        (("python_*",), ("python_*",), ("process_*",)),
    ),
    "state.file": ("a", "b", "c", (Path("a"), Path("b"), Path("c"))),
    "os_client_config": ("a", "b", "c", (Path("a"), Path("b"), Path("c"))),
    "interval": ("20s", "30s", "1m30s", (20.0, 30.0, 90.0)),
    "timeout": ("1s", "2s", "500ms", (1.0, 2.0, 0.5)),
    "concurrency": (1, "2", "3", (1, 2, 3)),
    "rate_limit": (1, "2.5", "none", (1.0, 2.5, None)),
    "max_stale": ("20m", "30m", "1h", (1200.0, 1800.0, 3600.0)),
    "discovery_interval": ("10m", "20m", "30m", (600.0, 1200.0, 1800.0)),
    "forget_after": ("1h", "2h", "1d", (3600.0, 7200.0, 86400.0)),
    "properties": (["a"], "b,c", "d, e", (("a",), ("b", "c"), ("d", "e"))),
    "label_value_limit": (64, "65", "66", (64, 65, 66)),
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
