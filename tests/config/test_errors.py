"""Exact error lines: one invalid file, variable or flag for each rule."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.config import GETTING_STARTED, SettingsError, parse

UUID = "3c3d1d01-b48a-4639-8a88-08be3b9b5d78"
ID = "accepted: 1 to 255 letters, digits, '.', '_' and '-', but not '.' or '..'"
LABEL = "accepted: 1 to 255 printable characters"
DURATION = "accepted: 30s, 1m30s, 15m, 90d"
URL = "accepted: an http or https URL with a host, without user, query and fragment"
MAPPING = "accepted: a mapping of keys to values"
STATUSES = (
    "queued, saving, uploading, importing, active, deactivated, killed, deleted, pending_delete"
)
OF_A_CLOUD = (
    "name, cloud, region, interface, api, endpoint, token, token_file, images, discover, "
    "interval, timeout, concurrency, rate_limit, max_stale, discovery_interval, forget_after, "
    "properties, expect"
)
AT_TOP = (
    "web, log, shard, interval, timeout, concurrency, rate_limit, max_stale, discovery_interval, "
    "forget_after, properties, expect, clouds"
)
OF_A_DISCOVERY = "name, tag, owner, visibility, status, property, most_recent, alias, expect"
INDEX = (
    "is not accepted; accepted: a whole number from 0 to 999, "
    "or a name that ends in one, as exporter-2 does"
)
OF_EXPECT = (
    "exists, status, protected, public, visibility, hidden, checksum, hash, size, min_disk, "
    "min_ram, disk_format, container_format, owner, name, properties, max_age, max_unchanged"
)
A_SIZE = "a size such as 512MiB or 1536KiB, or a range such as 1GiB..4GiB, 1GiB.. or ..4GiB"
UNITS = "B, KiB, MiB, GiB, TiB, PiB, EiB"
ALGORITHMS = (
    "sha1, sha224, sha256, sha384, sha512, sha3_224, sha3_256, sha3_384, sha3_512, blake2b, blake2s"
)
CLOUDS = "clouds: [{name: a, images: [b]}]"


def errors_of(argv: list[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the errors of a command line and an environment."""
    with pytest.raises(SettingsError) as caught:
        parse(argv, environ)
    assert str(caught.value) == "\n".join(caught.value.lines)
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


def errors_of_file(path: Path, content: str | bytes) -> list[str]:
    """Return the errors of a file, without its name."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    lines = errors_of([f"--config.file={path}"], {})
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def image(text: str) -> str:
    """Return a file with one image."""
    return f"clouds: [{{name: a, images: [{text}]}}]"


def discover(text: str) -> str:
    """Return a file with one image and one discovery rule."""
    return cloud(f"discover: [{text}]")


def cloud(text: str) -> str:
    """Return a file with one cloud that has additional keys."""
    return f"clouds: [{{name: a, images: [b], {text}}}]"


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
        "clouds[0].images[0].name: unknown key; accepted: id, alias, expect",
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
    "listen address": (
        f"web: {{listen_address: 10292}}\n{CLOUDS}",
        "web.listen_address: 10292 must be a string; quote it",
    ),
    "listen address, empty": (
        f"web: {{listen_address: ''}}\n{CLOUDS}",
        "web.listen_address: '' is not accepted; "
        'accepted: an address such as ":10292" or "127.0.0.1:10292"',
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
    "interval under the timeout": (
        f"interval: 9s\n{CLOUDS}",
        "interval: '9s' is shorter than the timeout, 10s; accepted: at least the timeout",
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
        f"interval: 5s\n{cloud('concurrency: 2')}",
        "interval: '5s' is shorter than the timeout, 10s; accepted: at least the timeout",
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
    # clouds
    "no clouds": (
        "interval: 1m",
        "clouds: missing; accepted: a list of clouds, each with a name and images",
    ),
    "empty clouds": ("clouds: []", "clouds: an empty list; accepted: at least one entry"),
    "null clouds": ("clouds:", "clouds: null is not a list; accepted: a list"),
    "clouds by name": ("clouds: {a: {}}", "clouds: a mapping is not a list; accepted: a list"),
    "a cloud's name only": ("clouds: [a]", f"clouds[0]: 'a' is not a mapping; {MAPPING}"),
    "cloud without name": (
        "clouds: [{images: [b]}]",
        "clouds[0].name: missing; accepted: label `cloud` of the cloud's series, "
        "1 to 255 printable characters",
    ),
    "cloud without images": (
        "clouds: [{name: a}]",
        "clouds[0].images: missing; accepted: list of image IDs, or of mappings, "
        "unless discover is given",
    ),
    "empty images": (
        "clouds: [{name: a, images: []}]",
        "clouds[0].images: an empty list; accepted: at least one entry",
    ),
    "name that YAML takes for a boolean": (
        "clouds: [{name: no, images: [b]}]",
        "clouds[0].name: false must be a string; quote it",
    ),
    "name that YAML takes for a date": (
        "clouds: [{name: 2024-01-31, images: [b]}]",
        "clouds[0].name: 2024-01-31 must be a string; quote it",
    ),
    "name that YAML takes for bytes": (
        "clouds: [{name: !!binary aGk=, images: [b]}]",
        "clouds[0].name: a value of type bytes must be a string; quote it",
    ),
    "null name": (
        "clouds: [{name: , images: [b]}]",
        f"clouds[0].name: null is not a string; {LABEL}",
    ),
    "empty name": (
        "clouds: [{name: '', images: [b]}]",
        f"clouds[0].name: '' is not accepted; {LABEL}",
    ),
    "hostile name": (
        'clouds: [{name: "a\\e[1m\\u202E", images: [b]}]',
        rf"clouds[0].name: 'a\x1b[1m\u202e' is not accepted; {LABEL}",
    ),
    "long name": (
        f"clouds: [{{name: {'n' * 256}, images: [b]}}]",
        f"clouds[0].name: '{'n' * 76}... is not accepted; {LABEL}",
    ),
    "name twice": (
        "clouds: [{name: a, images: [b]}, {name: c, images: [b]}, {name: a, images: [b]}]",
        "clouds[2].name: 'a' is a duplicate of clouds[0].name",
    ),
    "api": (
        cloud("api: v3"),
        "clouds[0].api: 'v3' is not accepted; accepted: auto, v1, v2",
    ),
    "interface": (
        cloud("interface: publicURL"),
        "clouds[0].interface: 'publicURL' is not accepted; accepted: public, internal, admin",
    ),
    "region": (cloud("region: 1"), "clouds[0].region: 1 must be a string; quote it"),
    # sign-in
    "endpoint without scheme": (
        cloud("endpoint: glance:9292"),
        f"clouds[0].endpoint: 'glance:9292' is not accepted; {URL}",
    ),
    "endpoint without host": (
        cloud("endpoint: 'http://:9292'"),
        f"clouds[0].endpoint: 'http://:9292' is not accepted; {URL}",
    ),
    "endpoint with a bad address": (
        cloud("endpoint: 'http://[::1'"),
        f"clouds[0].endpoint: 'http://[::1' is not accepted; {URL}",
    ),
    "endpoint with a bad port": (
        cloud("endpoint: 'http://a:65536'"),
        f"clouds[0].endpoint: 'http://a:65536' is not accepted; {URL}",
    ),
    "endpoint with a space": (
        cloud("endpoint: 'http://a/b c'"),
        f"clouds[0].endpoint: 'http://a/b c' is not accepted; {URL}",
    ),
    "endpoint with a password": (
        cloud("endpoint: 'http://user:hunter2@a'"),
        f"clouds[0].endpoint: not accepted (and not shown); {URL}",
    ),
    "endpoint with a query": (
        cloud("endpoint: 'http://a?token=hunter2'"),
        f"clouds[0].endpoint: not accepted (and not shown); {URL}",
    ),
    "endpoint with a fragment": (
        cloud("endpoint: 'http://a#'"),
        f"clouds[0].endpoint: not accepted (and not shown); {URL}",
    ),
    "endpoint beside cloud": (
        cloud("endpoint: 'http://a', cloud: c"),
        "clouds[0].cloud: 'c' is excluded by endpoint; accepted: one of the two",
    ),
    "endpoint beside region": (
        cloud("endpoint: 'http://a', region: r"),
        "clouds[0].region: 'r' is excluded by endpoint; accepted: one of the two",
    ),
    "token without endpoint": (
        cloud("token: hunter2"),
        "clouds[0].token: needs an endpoint; accepted: only beside endpoint",
    ),
    "token_file without endpoint": (
        cloud("token_file: t"),
        "clouds[0].token_file: needs an endpoint; accepted: only beside endpoint",
    ),
    "token beside token_file": (
        cloud("endpoint: 'http://a', token: hunter2, token_file: t"),
        "clouds[0].token: excluded by token_file; accepted: one of the two",
    ),
    "token with a line break": (
        cloud('endpoint: "http://a", token: "hunter2\\n"'),
        "clouds[0].token: not a token (and not shown); "
        "accepted: visible ASCII characters, in quotes",
    ),
    "token that YAML takes for a number": (
        cloud("endpoint: 'http://a', token: 123456"),
        "clouds[0].token: not a token (and not shown); "
        "accepted: visible ASCII characters, in quotes",
    ),
    "token for a token_file": (
        cloud('endpoint: "http://a", token_file: "hunter2\\n"'),
        "clouds[0].token_file: not the name of a file (and not shown); accepted: a path, in quotes",
    ),
    # discoveries
    "discovery, empty list": (
        cloud("discover: []"),
        "clouds[0].discover: an empty list; accepted: at least one entry",
    ),
    "discovery, a word": (
        discover("ubuntu"),
        f"clouds[0].discover[0]: 'ubuntu' is not a mapping; {MAPPING}",
    ),
    "discovery of everything": (
        discover("{}"),
        "clouds[0].discover[0]: no criterion; accepted: at least one of "
        "name, tag, owner, visibility, status, property",
    ),
    "discovery, an empty criterion": (
        discover("{name: null, most_recent: false}"),
        "clouds[0].discover[0]: no criterion; accepted: at least one of "
        "name, tag, owner, visibility, status, property",
    ),
    "discovery, unknown key": (
        discover("{name: a, tags: b}"),
        f"clouds[0].discover[0].tags: unknown key; did you mean tag?; accepted: {OF_A_DISCOVERY}",
    ),
    "discovery, empty name": (
        discover("{name: ''}"),
        f"clouds[0].discover[0].name: '' is not accepted; {LABEL}",
    ),
    "discovery, no tags": (
        discover("{tag: []}"),
        "clouds[0].discover[0].tag: an empty list; accepted: at least one entry",
    ),
    "discovery, tag": (
        discover("{tag: [a, 1]}"),
        "clouds[0].discover[0].tag[1]: 1 must be a string; quote it",
    ),
    "discovery, visibility": (
        discover("{visibility: all}"),
        "clouds[0].discover[0].visibility: 'all' is not accepted; "
        "accepted: public, private, shared, community",
    ),
    "discovery, status": (
        discover("{status: [active, deleted]}"),
        "clouds[0].discover[0].status[1]: 'deleted' is not accepted; "
        "accepted: queued, saving, uploading, importing, active, deactivated",
    ),
    "discovery, property": (
        discover("{property: os_distro}"),
        "clouds[0].discover[0].property: 'os_distro' is not a mapping; "
        "accepted: a mapping of property names to values",
    ),
    "discovery, no property": (
        discover("{property: {}}"),
        "clouds[0].discover[0].property: an empty list; accepted: at least one entry",
    ),
    "discovery, value of a property": (
        discover("{property: {os_distro: 1}}"),
        "clouds[0].discover[0].property: os_distro: 1 must be a string; quote it",
    ),
    "discovery, hostile name of a property": (
        discover('{property: {"a\\nb": c}}'),
        rf"clouds[0].discover[0].property: 'a\nb' is not accepted; {LABEL}",
    ),
    "discovery, a field as a property": (
        discover("{property: {disk_format: raw}}"),
        "clouds[0].discover[0].property: disk_format is not a custom property, "
        "but a field of every image",
    ),
    "discovery, most recent": (
        discover("{name: a, most_recent: 1, alias: x}"),
        "clouds[0].discover[0].most_recent: 1 is not accepted; accepted: true or false",
    ),
    "discovery, most recent without an alias": (
        discover("{name: a, most_recent: true}"),
        "clouds[0].discover[0].most_recent: needs an alias; accepted: only beside alias",
    ),
    "discovery, alias of many": (
        discover("{name: a, alias: x}"),
        "clouds[0].discover[0].alias: 'x' would be shared by many images; "
        "accepted: only beside most_recent: true",
    ),
    "discovery, alias twice": (
        discover("{name: a, most_recent: true, alias: x}, {name: c, most_recent: true, alias: x}"),
        "clouds[0].discover[1].alias: 'x' is a duplicate of clouds[0].discover[0].alias",
    ),
    "discovery, alias of an image": (
        "clouds: [{name: a, images: [{id: b, alias: x}, c], "
        "discover: [{name: a, most_recent: true, alias: x}]}]",
        "clouds[0].discover[0].alias: 'x' is a duplicate of clouds[0].images[0].alias",
    ),
    "discovery, alias that is an ID": (
        discover("{name: a, most_recent: true, alias: b}"),
        "clouds[0].discover[0].alias: 'b' is a duplicate of clouds[0].images[0]",
    ),
    "discovery more often than polling": (
        cloud("discovery_interval: 30s"),
        "clouds[0].discovery_interval: '30s' is shorter than the interval, 1m; "
        "accepted: at least the interval",
    ),
    "polling more seldom than discovery": (
        f"discovery_interval: 5m\n{cloud('interval: 6m')}",
        "clouds[0].interval: '6m' is longer than discovery_interval, 5m; accepted: at most that",
    ),
    "forgetting at once": (
        f"forget_after: 0\n{CLOUDS}",
        "forget_after: 0 is too short; accepted: 1ms or longer",
    ),
    # images
    "ID": (image("a/b"), f"clouds[0].images[0]: 'a/b' is not an image ID; {ID}"),
    "ID with a line break": (
        image('"a\\n"'),
        rf"clouds[0].images[0]: 'a\n' is not an image ID; {ID}",
    ),
    "ID of a mapping": (image("{id: ''}"), f"clouds[0].images[0].id: '' is not an image ID; {ID}"),
    "ID, dots": (image("'..'"), f"clouds[0].images[0]: '..' is not an image ID; {ID}"),
    "ID, a dot": (image("'.'"), f"clouds[0].images[0]: '.' is not an image ID; {ID}"),
    "ID, long": (
        image("b" * 256),
        f"clouds[0].images[0]: '{'b' * 76}... is not an image ID; {ID}",
    ),
    "ID, digits": (
        image("12345"),
        "clouds[0].images[0]: 12345 must be a string; quote it",
    ),
    "ID, list": (image("[b]"), f"clouds[0].images[0]: a list is not a string; {ID}"),
    "ID, missing": (
        image("{alias: b}"),
        "clouds[0].images[0].id: missing; accepted: image ID, usually a UUID in lower case",
    ),
    "UUID in capitals": (
        image(UUID.upper()),
        f"clouds[0].images[0]: '{UUID.upper()}' is a UUID in capitals, "
        f"which Glance does not find; write {UUID}",
    ),
    "ID twice": (
        image("b, {id: c}, {id: b}"),
        "clouds[0].images[2].id: 'b' is a duplicate of clouds[0].images[0]",
    ),
    "alias": (
        image("{id: b, alias: 7}"),
        "clouds[0].images[0].alias: 7 must be a string; quote it",
    ),
    "expectation": (
        image("{id: b, expect: active}"),
        f"clouds[0].images[0].expect: 'active' is not a mapping; {MAPPING}",
    ),
    "status": (
        image("{id: b, expect: {status: gone}}"),
        f"clouds[0].images[0].expect.status: 'gone' is not accepted; accepted: {STATUSES}",
    ),
    "a status of several": (
        image("{id: b, expect: {status: [active, 1]}}"),
        f"clouds[0].images[0].expect.status[1]: 1 is not accepted; accepted: {STATUSES}",
    ),
    "no status": (
        image("{id: b, expect: {status: []}}"),
        "clouds[0].images[0].expect.status: an empty list; accepted: at least one entry",
    ),
    "protected": (
        image("{id: b, expect: {protected: 'true'}}"),
        "clouds[0].images[0].expect.protected: 'true' is not accepted; accepted: true or false",
    ),
    "public": (
        image("{id: b, expect: {public: 1}}"),
        "clouds[0].images[0].expect.public: 1 is not accepted; accepted: true or false",
    ),
    "max_age": (
        image("{id: b, expect: {max_age: 90}}"),
        "clouds[0].images[0].expect.max_age: 90 has no unit; write 1m30s",
    ),
    # expectations; those above are an image's
    **{
        f"expectation, {what}": (f"expect: {text}\n{CLOUDS}", f"expect{line}")
        for what, text, line in (
            ("no mapping", "[a]", f": a list is not a mapping; {MAPPING}"),
            (
                "unknown",
                "{tags: x}",
                f".tags: unknown key; did you mean status?; accepted: {OF_EXPECT}",
            ),
            (
                "exists",
                "{exists: yes please}",
                ".exists: 'yes please' is not accepted; accepted: true or false",
            ),
            (
                "visibility",
                "{visibility: secret}",
                ".visibility: 'secret' is not accepted; "
                "accepted: public, private, shared, community",
            ),
            (
                "no visibility",
                "{visibility: []}",
                ".visibility: an empty list; accepted: at least one entry",
            ),
            ("hidden", "{hidden: 0}", ".hidden: 0 is not accepted; accepted: true or false"),
            (
                "checksum",
                "{checksum: abc}",
                ".checksum: 'abc' is not an MD5; accepted: 32 hexadecimal digits",
            ),
            (
                "checksum of digits",
                f"{{checksum: {'1' * 32}}}",
                f".checksum: {'1' * 32} must be a string; quote it",
            ),
            (
                "checksum of no digits",
                f"{{checksum: {'g' * 32}}}",
                f".checksum: '{'g' * 32}' is not an MD5; accepted: 32 hexadecimal digits",
            ),
            (
                "hash",
                "{hash: abc}",
                ".hash: 'abc' is not a mapping; accepted: a mapping of algorithms to digests",
            ),
            ("no hash", "{hash: {}}", ".hash: an empty list; accepted: at least one entry"),
            (
                "hash of MD5",
                f"{{hash: {{md5: {'a' * 32}}}}}",
                ".hash: md5 is not accepted; use checksum instead",
            ),
            (
                "hash, unknown algorithm",
                "{hash: {sha-256: a}}",
                f".hash: sha-256 is not an algorithm; accepted: {ALGORITHMS}",
            ),
            (
                "hash, algorithm that is no text",
                "{hash: {~: a}}",
                f".hash: ~ is not an algorithm; accepted: {ALGORITHMS}",
            ),
            (
                "hash, digest",
                "{hash: {sha256: abc}}",
                ".hash: sha256: 'abc' is not a sha256 digest; accepted: 64 hexadecimal digits",
            ),
            ("size", "{size: large}", f".size: 'large' is not a size; accepted: {A_SIZE}"),
            (
                "size, null in a list",
                "{size: [~]}",
                f".size: a list is not a size; accepted: {A_SIZE}",
            ),
            ("size without a unit", "{size: 4096}", ".size: 4096 has no unit; write 4096B"),
            (
                "size without a unit, as text",
                "{size: '4096'}",
                f".size: '4096' has no unit; accepted: {UNITS}",
            ),
            ("disk without a unit", "{min_disk: 40}", ".min_disk: 40 has no unit; write 40GiB"),
            (
                "disk of no whole unit",
                "{min_disk: 512MiB..1023MiB}",
                ".min_disk: '512MiB..1023MiB' matches no image: the Image service counts whole "
                "GiB; accepted: such as 2GiB, or a range with one in it",
            ),
            ("memory without a unit", "{min_ram: 512}", ".min_ram: 512 has no unit; write 512MiB"),
            (
                "size, unknown unit",
                "{size: 4GB}",
                f".size: '4GB' has the unknown unit GB; accepted: {UNITS}",
            ),
            (
                "size, a fraction",
                "{size: 1.5GiB}",
                f".size: '1.5GiB' is not a size; accepted: {A_SIZE}",
            ),
            ("size below 0", "{size: -1}", f".size: -1 is not a size; accepted: {A_SIZE}"),
            ("size, a boolean", "{size: true}", f".size: true is not a size; accepted: {A_SIZE}"),
            (
                "size too large",
                "{size: 9EiB}",
                f".size: '9EiB' is larger than 2^63 - 1 bytes; accepted: {A_SIZE}",
            ),
            (
                "range without ends",
                "{size: ..}",
                f".size: '..' is a range without ends; accepted: {A_SIZE}",
            ),
            (
                "range the wrong way round",
                "{size: 4GiB..1GiB}",
                ".size: '4GiB..1GiB' is a range whose end is below its beginning; "
                f"accepted: {A_SIZE}",
            ),
            (
                "range with a bad end",
                "{size: 1GiB..4}",
                f".size: '1GiB..4' has no unit; accepted: {UNITS}",
            ),
            (
                "range of three",
                "{size: 1B..2B..3B}",
                f".size: '1B..2B..3B' is not a size; accepted: {A_SIZE}",
            ),
            (
                "disk format",
                "{disk_format: 2}",
                ".disk_format: 2 must be a string; quote it",
            ),
            ("owner", "{owner: ''}", f".owner: '' is not accepted; {LABEL}"),
            ("name", "{name: [a]}", f".name: a list is not a string; {LABEL}"),
            (
                "properties",
                "{properties: [a]}",
                ".properties: a list is not a mapping; "
                "accepted: a mapping of property names to values",
            ),
            (
                "no property",
                "{properties: {}}",
                ".properties: an empty list; accepted: at least one entry",
            ),
            (
                "a property that is none",
                "{properties: {min_ram: a}}",
                ".properties: min_ram is not a custom property, but a field of every image",
            ),
            (
                "a property's value",
                "{properties: {a: 1}}",
                ".properties: a: 1 must be a string; quote it",
            ),
            (
                "max_unchanged",
                "{max_unchanged: soon}",
                f".max_unchanged: 'soon' is not a duration; {DURATION}",
            ),
            (
                "public and another visibility",
                "{public: true, visibility: private}",
                ".visibility: 'private' contradicts public: true; "
                "accepted: one of the two, or both alike",
            ),
            (
                "not public, and public",
                "{public: false, visibility: [public]}",
                ".visibility: a list contradicts public: false; "
                "accepted: one of the two, or both alike",
            ),
            (
                "exists: false and more",
                "{exists: false, status: active}",
                ".status: excluded by exists: false; accepted: that alone",
            ),
        )
    },
    "expectation of a cloud": (
        cloud("expect: {size: 1}"),
        "clouds[0].expect.size: 1 has no unit; write 1B",
    ),
    "expectations of a cloud that contradict each other": (
        cloud("expect: {exists: false, hidden: true}"),
        "clouds[0].expect.hidden: excluded by exists: false; accepted: that alone",
    ),
    "expectation of a discovery": (
        discover("{name: a, expect: {min_ram: 1}}"),
        "clouds[0].discover[0].expect.min_ram: 1 has no unit; write 1MiB",
    ),
    "expectations of a discovery that contradict each other": (
        discover("{name: a, expect: {public: true, visibility: shared}}"),
        "clouds[0].discover[0].expect.visibility: 'shared' contradicts public: true; "
        "accepted: one of the two, or both alike",
    ),
    "expectations of an image that contradict each other": (
        image("{id: b, expect: {exists: false, name: a}}"),
        "clouds[0].images[0].expect.name: excluded by exists: false; accepted: that alone",
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


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "none.yml"
    assert errors_of([f"--config.file={missing}"], {}) == (
        f"{missing}: cannot be read: No such file or directory",
    )


def test_directory_is_not_a_file(tmp_path: Path) -> None:
    assert errors_of([], {"IMAGE_EXPORTER_CONFIG__FILE": str(tmp_path)}) == (
        f"{tmp_path}: cannot be read: Is a directory",
    )


def test_line_break_in_a_file_name_is_escaped(tmp_path: Path) -> None:
    hostile = tmp_path / "a\nb"
    assert errors_of([f"--config.file={hostile}"], {}) == (
        f"{str(hostile)!r}: cannot be read: No such file or directory",
    )


def test_error_without_clouds_shows_an_example_and_the_demo() -> None:
    assert errors_of([], {}) == GETTING_STARTED
    assert GETTING_STARTED[0].startswith("no clouds to watch: list them in a file")
    assert GETTING_STARTED[-1].endswith("openstack-image-exporter demo")


def test_invalid_file_name_is_rejected() -> None:
    for hostile in ("a\0", "a\ud800"):
        lines = errors_of(["demo", f"--config.file={hostile}"], {})
        assert lines[0] == f"{hostile!r}: cannot be read: not a valid file name"


VARIABLES = {
    "unknown": (
        {"IMAGE_EXPORTER_INTERVALL": "hunter2"},
        "environment variable IMAGE_EXPORTER_INTERVALL: unknown; "
        "did you mean IMAGE_EXPORTER_INTERVAL?",
    ),
    "unknown and hostile": (
        {"IMAGE_EXPORTER_\n": "hunter2"},
        r"environment variable 'IMAGE_EXPORTER_\n': unknown",
    ),
    "a group": (
        {"IMAGE_EXPORTER_WEB": '{"listen_address": ":1"}'},
        "environment variable IMAGE_EXPORTER_WEB: unknown",
    ),
    "a value": (
        {"IMAGE_EXPORTER_LOG__LEVEL": "loud"},
        "environment variable IMAGE_EXPORTER_LOG__LEVEL: 'loud' is not accepted; "
        "accepted: debug, info, warning, error",
    ),
    "a duration": (
        {"IMAGE_EXPORTER_INTERVAL": "60"},
        "environment variable IMAGE_EXPORTER_INTERVAL: '60' has no unit; write 1m",
    ),
    "a number": (
        {"IMAGE_EXPORTER_CONCURRENCY": "many"},
        "environment variable IMAGE_EXPORTER_CONCURRENCY: 'many' is not accepted; "
        "accepted: a whole number from 1 to 1000",
    ),
    "a property": (
        {"IMAGE_EXPORTER_PROPERTIES": "a,,b"},
        f"environment variable IMAGE_EXPORTER_PROPERTIES: '' is not accepted; {LABEL}",
    ),
    "clouds that are no JSON": (
        {"IMAGE_EXPORTER_CLOUDS": '[{"token": hunter2}]'},
        "environment variable IMAGE_EXPORTER_CLOUDS: is not valid JSON: line 1, column 12: "
        "Expecting value",
    ),
    "clouds nested deeply": (
        {"IMAGE_EXPORTER_CLOUDS": "[" * 100_000},
        "environment variable IMAGE_EXPORTER_CLOUDS: is nested too deeply",
    ),
    "clouds with a long number": (
        {"IMAGE_EXPORTER_CLOUDS": "9" * 5000},
        "environment variable IMAGE_EXPORTER_CLOUDS: is not valid JSON: a number is too long",
    ),
    "a key twice": (
        {"IMAGE_EXPORTER_CLOUDS": '[{"name": "a", "name": "a", "images": ["b"]}]'},
        "environment variable IMAGE_EXPORTER_CLOUDS: name is a duplicate key",
    ),
    "an image": (
        {"IMAGE_EXPORTER_CLOUDS": '[{"name": "a", "images": [1e5]}]'},
        "environment variable IMAGE_EXPORTER_CLOUDS: clouds[0].images[0]: "
        "100000.0 must be a string; quote it",
    ),
}


@pytest.mark.parametrize(("environ", "line"), VARIABLES.values(), ids=VARIABLES)
def test_error_in_the_environment_is_one_exact_line(environ: dict[str, str], line: str) -> None:
    clouds = {"IMAGE_EXPORTER_CLOUDS": json.dumps([{"name": "a", "images": ["b"]}])}
    assert errors_of([], {**clouds, **environ}) == (line,)


def test_errors_of_all_sources_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("rate_limit: -1\nclouds: [{name: a, images: [b]}]")
    argv = ["show", "a/b", f"--config.file={path}", "--interval=soon", "--properties=a,b,a"]
    environ = {"IMAGE_EXPORTER_TIMEOUT": "10", "IMAGE_EXPORTER_X": ""}
    assert errors_of(argv, environ) == (
        f"show: 'a/b' is not an image ID; {ID}",
        "environment variable IMAGE_EXPORTER_X: unknown",
        f"flag --interval: 'soon' is not a duration; {DURATION}",
        "environment variable IMAGE_EXPORTER_TIMEOUT: '10' has no unit; write 10s",
        f"{path}: rate_limit: -1 is not accepted; accepted: a number above 0, or none",
        "flag --properties: 'a' is a duplicate",
    )
