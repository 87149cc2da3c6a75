"""Exact error lines of a settings file: the file itself, its keys and the general settings."""

from pathlib import Path

import pytest

from exporter.config import types
from tests.config.error_lines import (
    CLOUDS,
    DURATION,
    MAPPING,
    OF_EXPECT,
    UUID,
    cloud,
    errors_of_file,
    image,
)

OF_A_CLOUD = (
    "name, cloud, region, image_service_name, interface, api, endpoint, token, token_file, images, "
    "discover, interval, timeout, concurrency, rate_limit, max_stale, discovery_interval, "
    "forget_after, properties, expect, labels"
)
AT_TOP = (
    "web, log, metrics, shard, state, os_client_config, interval, timeout, concurrency, "
    "rate_limit, max_stale, discovery_interval, "
    "forget_after, properties, label_value_limit, expect, labels, clouds"
)
INDEX = (
    "is not accepted; accepted: a whole number from 0 to 999, "
    "or a name that ends in one, as exporter-2 does"
)

ONE_MISTAKE = {
    # the file as a whole
    "empty": ("", "is empty"),
    "only a comment": ("# nothing\n", "is empty"),
    "null": ("null", "is not a mapping of settings, such as interval: 60s"),
    "a list": ("[1]", "is not a mapping of settings, such as interval: 60s"),
    "a secret as the file": ("hunter2", "is not a mapping of settings, such as interval: 60s"),
    "not UTF-8": (b"a: \xff", "is not UTF-8, from byte 4 on"),
    "control character": (
        "a: \x01",
        "is not valid YAML: character 4: control characters are not allowed",
    ),
    "not YAML": (
        "a: b: c",
        "is not valid YAML: line 1, column 5: mapping values are not allowed in this context",
    ),
    "two documents": (
        "a: 1\n---\nb: 1",
        "is not valid YAML: line 2, column 1: expected a single document in the stream, "
        "but found another document",
    ),
    "a tag": (
        "interval: !hunter2 1",
        "is not valid YAML: line 1, column 11: unsupported tag",
    ),
    "a Python tag": (
        "interval: !!python/name:os.system",
        "is not valid YAML: line 1, column 11: unsupported tag",
    ),
    "a value that does not fit its tag": (
        "interval: !!int x",
        "is not valid YAML: line 1, column 11: a value is invalid for its type; quote a string",
    ),
    "a date that is none": (
        "interval: 2024-13-45",
        "is not valid YAML: line 1, column 11: a value is invalid for its type; quote a string",
    ),
    "a key that is a list": (
        "? [a]\n: 1",
        "is not valid YAML: line 1, column 3: a key must be text",
    ),
    "unknown alias": (
        "a: *hunter2",
        "is not valid YAML: line 1, column 4: found undefined alias",
    ),
    "alias of itself": ("a: &a [*a]", "contains itself through an alias: line 1, column 4"),
    "nested deeply": ("[" * 100_000, "is nested deeper than 50 levels"),
    "alias bomb": (
        "a: &a [x]\n"
        + "".join(
            f"{b}: &{b} [{f'*{a},' * 10}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "is too large when its aliases are expanded",
    ),
    "too large": (b"#" * (16 * 1024 * 1024 + 1), "is larger than 16 MiB"),
    # keys
    "key twice": (
        f"interval: 60s\ninterval: 60s\n{CLOUDS}",
        "line 2: interval is a duplicate of line 1",
    ),
    "key twice in one line": (
        "clouds: [{name: a, name: a, images: [b]}]",
        "line 1: name is a duplicate of line 1",
    ),
    "unknown key": (
        f"intervall: 1m\n{CLOUDS}",
        f"intervall: unknown key; did you mean interval?; accepted: {AT_TOP}",
    ),
    "unknown key that YAML takes for a boolean": (
        f"on: 1\n{CLOUDS}",
        f"on: unknown key; accepted: {AT_TOP}",
    ),
    "unknown hostile key": (
        f'"a\\n\\u202E": hunter2\n{CLOUDS}',
        rf"'a\n\u202e': unknown key; accepted: {AT_TOP}",
    ),
    "unknown key of a cloud, its value perhaps a secret": (
        cloud("password: hunter2"),
        f"clouds[0].password: unknown key; accepted: {OF_A_CLOUD}",
    ),
    "unknown key of an image": (
        image("{id: b, name: c}"),
        "clouds[0].images[0].name: unknown key; accepted: id, alias, expect, labels",
    ),
    "unknown expectation": (
        image("{id: b, expect: {tag: x}}"),
        f"clouds[0].images[0].expect.tag: unknown key; accepted: {OF_EXPECT}",
    ),
    "the file's own name in it": (
        f"config: {{file: x}}\n{CLOUDS}",
        "config: not allowed in the settings file; accepted: flag or variable",
    ),
    # general settings
    "web": (f"web: \n{CLOUDS}", f"web: null is not a mapping; {MAPPING}"),
    "host with a port": (
        f"web: {{allowed_hosts: [a.test, 'a.test:443']}}\n{CLOUDS}",
        "web.allowed_hosts[1]: 'a.test:443' is not accepted; "
        "accepted: a host name without port, such as exporter.example.com",
    ),
    "listen address": (
        f"web: {{listen_address: 10292}}\n{CLOUDS}",
        "web.listen_address: 10292 must be a string; quote it",
    ),
    "listen address, empty": (
        f"web: {{listen_address: ''}}\n{CLOUDS}",
        "web.listen_address: '' is not accepted; "
        'accepted: an address such as ":10292" or "127.0.0.1:10292"',
    ),
    "telemetry path, relative": (
        f"web: {{telemetry_path: metrics}}\n{CLOUDS}",
        "web.telemetry_path: 'metrics' has to start, and not to end, with a slash; write /metrics",
    ),
    "telemetry path, with a query": (
        f"web: {{telemetry_path: /metrics?a}}\n{CLOUDS}",
        "web.telemetry_path: '/metrics?a' is not accepted; "
        "accepted: a path of letters, digits, '.', '_', '~' and '-', such as /metrics",
    ),
    "telemetry path, the page": (
        f"web: {{telemetry_path: /}}\n{CLOUDS}",
        "web.telemetry_path: '/' is not accepted; "
        "accepted: a path of letters, digits, '.', '_', '~' and '-', such as /metrics",
    ),
    "telemetry path, with a slash at its end": (
        f"web: {{telemetry_path: /metrics/}}\n{CLOUDS}",
        "web.telemetry_path: '/metrics/' has to start, and not to end, with a slash; "
        "write /metrics",
    ),
    "telemetry path, of other pages": (
        f"web: {{telemetry_path: /-/metrics}}\n{CLOUDS}",
        "web.telemetry_path: '/-/metrics' is refused, as other pages are at "
        f"/{', /'.join(types.PAGES)} and below; accepted: any other path",
    ),
    "metric that does not exist": (
        f"metrics: {{exclude: [python_*, openstack_image_min_ram]}}\n{CLOUDS}",
        "metrics.exclude[1]: 'openstack_image_min_ram' matches no metric; "
        "did you mean openstack_image_min_ram_bytes?",
    ),
    "metric like no other": (
        f"metrics: {{include: x*}}\n{CLOUDS}",
        "metrics.include: 'x*' matches no metric; METRICS.md lists them all",
    ),
    "metric twice": (
        f"metrics: {{include: [python_*, python_*]}}\n{CLOUDS}",
        "metrics.include: 'python_*' is a duplicate",
    ),
    "log level": (
        f"log: {{level: trace}}\n{CLOUDS}",
        "log.level: 'trace' is not accepted; accepted: debug, info, warning, error",
    ),
    "log format": (
        f"log: {{format: [json]}}\n{CLOUDS}",
        "log.format: a list is not accepted; accepted: logfmt, json",
    ),
    "duration": (f"interval: soon\n{CLOUDS}", f"interval: 'soon' is not a duration; {DURATION}"),
    "duration without unit": (f"interval: 30\n{CLOUDS}", "interval: 30 has no unit; write 30s"),
    "quoted duration without unit": (
        f"interval: '90'\n{CLOUDS}",
        "interval: '90' has no unit; write 1m30s",
    ),
    "duration with a fraction": (
        f"timeout: 1.5\n{CLOUDS}",
        "timeout: 1.5 has no unit; write 1s500ms",
    ),
    "duration, boolean": (
        f"interval: yes\n{CLOUDS}",
        f"interval: true is not a duration; {DURATION}",
    ),
    "duration, null": (f"interval:\n{CLOUDS}", f"interval: null is not a duration; {DURATION}"),
    "duration, infinite": (
        f"interval: .inf\n{CLOUDS}",
        f"interval: inf is not a duration; {DURATION}",
    ),
    "duration, huge": (
        f"interval: 0x{'f' * 5000}\n{CLOUDS}",
        f"interval: a huge number is not a duration; {DURATION}",
    ),
    "duration, long": (
        f"interval: {'x' * 100}\n{CLOUDS}",
        f"interval: '{'x' * 76}... is not a duration; {DURATION}",
    ),
    "interval, short": (
        f"interval: 999ms\ntimeout: 1ms\n{CLOUDS}",
        "interval: '999ms' is too short; accepted: 1s or longer",
    ),
    "interval, zero": (
        f"interval: 0\ntimeout: 1ms\n{CLOUDS}",
        "interval: 0 is too short; accepted: 1s or longer",
    ),
    "timeout, zero": (
        f"timeout: 0s\n{CLOUDS}",
        "timeout: '0s' is too short; accepted: 1ms or longer",
    ),
    "timeout over the interval": (
        f"timeout: 61s\n{CLOUDS}",
        "timeout: '61s' is longer than the interval, 1m; accepted: at most the interval",
    ),
    "timeout of a cloud": (
        cloud("timeout: 61s"),
        "clouds[0].timeout: '61s' is longer than the interval, 1m; accepted: at most the interval",
    ),
    "interval of a cloud": (
        f"timeout: 30s\n{cloud('interval: 20s')}",
        "clouds[0].interval: '20s' is shorter than the timeout, 30s; "
        "accepted: at least the timeout",
    ),
    "a general mistake is not a cloud's": (
        f"interval: 5s\ntimeout: 6s\n{cloud('concurrency: 2')}",
        "timeout: '6s' is longer than the interval, 5s; accepted: at most the interval",
    ),
    "max_stale": (
        f"max_stale: 119s\n{CLOUDS}",
        "max_stale: '119s' is less than two intervals of 1m; accepted: at least two",
    ),
    "max_stale of a cloud": (
        cloud("max_stale: 1m"),
        "clouds[0].max_stale: '1m' is less than two intervals of 1m; accepted: at least two",
    ),
    "interval of a cloud over half of max_stale": (
        f"max_stale: 15m\n{cloud('interval: 10m')}",
        "clouds[0].interval: '10m' is more than half of max_stale, 15m; "
        "accepted: at most half of it",
    ),
    "concurrency": (
        f"concurrency: 0\n{CLOUDS}",
        "concurrency: 0 is not accepted; accepted: a whole number from 1 to 1000",
    ),
    "concurrency, too much": (
        cloud("concurrency: 1001"),
        "clouds[0].concurrency: 1001 is not accepted; accepted: a whole number from 1 to 1000",
    ),
    "concurrency, boolean": (
        f"concurrency: true\n{CLOUDS}",
        "concurrency: true is not accepted; accepted: a whole number from 1 to 1000",
    ),
    "concurrency, fraction": (
        f"concurrency: 1.0\n{CLOUDS}",
        "concurrency: 1.0 is not accepted; accepted: a whole number from 1 to 1000",
    ),
    "rate limit": (
        f"rate_limit: 0\n{CLOUDS}",
        "rate_limit: 0 is not accepted; accepted: a number above 0, or none",
    ),
    "rate limit, not a number": (
        cloud("rate_limit: .nan"),
        "clouds[0].rate_limit: nan is not accepted; accepted: a number above 0, or none",
    ),
    "properties": (
        f"properties: {{a: b}}\n{CLOUDS}",
        "properties: a mapping is not a list; accepted: a list",
    ),
    "a property": (
        f"properties: [a, 1]\n{CLOUDS}",
        "properties[1]: 1 must be a string; quote it",
    ),
    "a property twice": (f"properties: [a, b, a]\n{CLOUDS}", "properties: 'a' is a duplicate"),
    "state": (f"state: a\n{CLOUDS}", f"state: 'a' is not a mapping; {MAPPING}"),
    "state, unknown key": (
        f"state: {{path: a}}\n{CLOUDS}",
        "state.path: unknown key; accepted: file",
    ),
    "state, no name of a file": (
        f"state: {{file: ''}}\n{CLOUDS}",
        "state.file: '' is not accepted; accepted: the name of a file",
    ),
    # shards
    "shard": (f"shard: 1\n{CLOUDS}", f"shard: 1 is not a mapping; {MAPPING}"),
    "shard, unknown key": (
        f"shard: {{count: 3}}\n{CLOUDS}",
        "shard.count: unknown key; accepted: index, total",
    ),
    "shard without a number of shards": (
        f"shard: {{index: 1}}\n{CLOUDS}",
        "shard.index: 1 needs shard.total beside it; accepted: both or none",
    ),
    "shards without an index": (
        f"shard: {{index: , total: 3}}\n{CLOUDS}",
        "shard.total: 3 needs shard.index beside it; accepted: both or none",
    ),
    "a shard too many": (
        f"shard: {{index: 3, total: 3}}\n{CLOUDS}",
        "shard.index: 3 is not a shard of 3; accepted: 0 to 2, the first is 0",
    ),
    "a pod too many": (
        f"shard: {{index: exporter-3, total: 3}}\n{CLOUDS}",
        "shard.index: 'exporter-3' is not a shard of 3; accepted: 0 to 2, the first is 0",
    ),
    "index, negative": (f"shard: {{index: -1, total: 3}}\n{CLOUDS}", f"shard.index: -1 {INDEX}"),
    "index, a Deployment's pod": (
        f"shard: {{index: exporter-7d9f8b6c5-x2x4z, total: 3}}\n{CLOUDS}",
        f"shard.index: 'exporter-7d9f8b6c5-x2x4z' {INDEX}",
    ),
    "index, a number of many digits": (
        f"shard: {{index: exporter-24567, total: 3}}\n{CLOUDS}",
        f"shard.index: 'exporter-24567' {INDEX}",
    ),
    "index, text that is a number": (
        f"shard: {{index: '-5', total: 9}}\n{CLOUDS}",
        f"shard.index: '-5' {INDEX}",
    ),
    "no shards": (
        f"shard: {{index: 0, total: 0}}\n{CLOUDS}",
        "shard.total: 0 is not accepted; accepted: a whole number from 1 to 1000",
    ),
}


@pytest.mark.parametrize(("content", "line"), ONE_MISTAKE.values(), ids=ONE_MISTAKE)
def test_error_in_the_file_is_one_exact_line(
    tmp_path: Path, content: str | bytes, line: str
) -> None:
    assert errors_of_file(tmp_path / "exporter.yml", content) == [line]


def test_all_errors_of_a_file_are_reported(tmp_path: Path) -> None:
    content = (
        "interval: 30\n"
        "clouds:\n"
        "  - name: a\n"
        "    regoin: x\n"
        f"    images: [{UUID.upper()}, b, b]\n"
        "    timeout: 2m\n"
        "    timeout: 3m\n"
        "  - {name: a, images: []}\n"
    )
    assert errors_of_file(tmp_path / "exporter.yml", content) == [
        "line 7: timeout is a duplicate of line 6",
        "interval: 30 has no unit; write 30s",
        f"clouds[0].images[0]: '{UUID.upper()}' is a UUID in capitals, "
        f"which Glance does not find; write {UUID}",
        f"clouds[0].regoin: unknown key; did you mean region?; accepted: {OF_A_CLOUD}",
        "clouds[1].images: an empty list; accepted: at least one entry",
        "clouds[0].images[2]: 'b' is a duplicate of clouds[0].images[1]",
        "clouds[1].name: 'a' is a duplicate of clouds[0].name",
    ]
