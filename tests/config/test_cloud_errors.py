"""Exact error lines of clouds: authentication, discovery rules and images."""

from pathlib import Path

import pytest

from tests.config.error_lines import (
    CLOUDS,
    ID,
    LABEL,
    MAPPING,
    UUID,
    cloud,
    discover,
    errors_of_file,
    image,
)

URL = "accepted: an http or https URL with a host, without user, query and fragment"
STATUSES = (
    "queued, saving, uploading, importing, active, deactivated, killed, deleted, pending_delete"
)
OF_A_DISCOVERY = (
    "name, tag, owner, visibility, status, property, most_recent, alias, expect, labels"
)

ONE_MISTAKE = {
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
    "image_service_name": (
        cloud("image_service_name: 1"),
        "clouds[0].image_service_name: 1 must be a string; quote it",
    ),
    "region": (cloud("region: 1"), "clouds[0].region: 1 must be a string; quote it"),
    # authentication
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
    "endpoint beside image_service_name": (
        cloud("endpoint: 'http://a', image_service_name: g"),
        "clouds[0].image_service_name: 'g' is excluded by endpoint; accepted: one of the two",
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
}


@pytest.mark.parametrize(("content", "line"), ONE_MISTAKE.values(), ids=ONE_MISTAKE)
def test_error_in_the_file_is_one_exact_line(
    tmp_path: Path, content: str | bytes, line: str
) -> None:
    assert errors_of_file(tmp_path / "exporter.yml", content) == [line]
