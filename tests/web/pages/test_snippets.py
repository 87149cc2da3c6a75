import shlex

import pytest

from exporter.model.target import Target
from exporter.web.pages.snippets import commands, queries
from tests.web.example_images import Access

TARGET = Target("lab", "an-id", "golden")


def test_queries_select_the_image_by_cloud_and_id() -> None:
    texts = [query.text for query in queries(TARGET)]
    assert texts[0] == '{cloud="lab",image_id="an-id"}'
    assert 'openstack_image_status{cloud="lab",image_id="an-id"} == 1' in texts
    assert all(text.count('cloud="lab",image_id="an-id"') == 1 for text in texts)


def test_name_of_a_cloud_cannot_end_the_string_of_a_query() -> None:
    (first, *_) = queries(Target('a"} or \\', "an-id", "golden"))
    assert first.text == '{cloud="a\\"} or \\\\",image_id="an-id"}'


@pytest.mark.parametrize(
    ("access", "options"),
    [
        (Access(), []),
        (Access("lab"), ["--os-cloud=lab"]),
        (Access("lab; ls $(x)", "eu 1"), ["--os-cloud=lab; ls $(x)", "--os-region-name=eu 1"]),
    ],
)
def test_command_signs_in_like_the_exporter(access: Access, options: list[str]) -> None:
    for command in commands(TARGET, access, "v1"):
        words = shlex.split(command.text)
        assert words[: len(options) + 4] == ["openstack", *options, "image", "show", "an-id"]


@pytest.mark.parametrize(("api", "start"), [(None, "--head"), ("v1", "--head"), ("v2", "--header")])
def test_command_without_keystone_is_the_request_of_the_exporter(
    api: str | None, start: str
) -> None:
    (command,) = commands(TARGET, Access(endpoint="http://glance:9292/a;b/"), api)
    words = shlex.split(command.text)
    assert words[:2] == ["curl", start]
    assert words[-1] == f"http://glance:9292/a;b/{api or 'v1'}/images/an-id"


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("http://glance:9292/v2/", "/v2/images/an-id"),
        ("http://glance:9292/image/v1.1", "/image/v2/images/an-id"),
        (f"http://glance:9292/v2/{'0a' * 16}", f"/v2/{'0a' * 16}/images/an-id"),
    ],
)
def test_endpoint_may_end_in_a_version_and_a_project(endpoint: str, path: str) -> None:
    (command,) = commands(TARGET, Access(endpoint=endpoint), "v2")
    assert shlex.split(command.text)[-1] == f"http://glance:9292{path}"


def test_cloud_that_a_reload_is_adding_has_no_commands_yet() -> None:
    assert commands(TARGET, None, None) == []
