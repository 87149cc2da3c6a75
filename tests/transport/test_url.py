from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.transport.url import (
    base_url,
    origin,
    project_at_end,
    service_address,
    without_default_port,
)

HOSTS = st.sampled_from(["cloud", "cloud.example.com", "192.0.2.1", "[2001:db8::1]"])
PORTS = st.sampled_from(["", ":9292", ":443"])
PREFIXES = st.sampled_from(["", "/image", "/cloud/image", "/glance-v2", "/v2ray"])
SUFFIXES = st.sampled_from(
    ["", "/", "//", "/v1", "/v1/", "/v1.1", "/v2", "/v2//", "/v2.16/", "/V2"]
)


@given(st.sampled_from(["http", "https"]), HOSTS, PORTS, PREFIXES, SUFFIXES)
def test_version_and_trailing_slashes_are_removed(
    scheme: str, host: str, port: str, prefix: str, suffix: str
) -> None:
    assert (
        base_url(f"{scheme}://{host}{port}{prefix}{suffix}") == f"{scheme}://{host}{port}{prefix}"
    )


@given(HOSTS, st.from_regex(r"(/[a-z0-9.]{0,4}){0,5}", fullmatch=True))
def test_base_url_is_idempotent(host: str, path: str) -> None:
    base = base_url(f"https://{host}{path}")
    assert base_url(base) == base
    assert not base.endswith("/")


def test_credentials_query_and_fragment_are_dropped() -> None:
    """They must not reach a request, a log or a label."""
    assert base_url(" https://user:pw@Cloud:9292/v2/?a=b#c \n") == "https://cloud:9292"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "cloud:9292",
        "ftp://cloud",
        "http://",
        "http:///v2",
        "http://cloud:port",
        "http://cloud:99999",
        "http://[::1",
        "http://cloud\r\nX-Forged: 1",
        "http://cloud/a b",
        "http://cloud/\u202e",
    ],
)
def test_invalid_url_is_an_error(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        base_url(endpoint)


@given(st.text())
def test_any_text_is_a_base_url_or_an_error(endpoint: str) -> None:
    """A service catalog may contain anything."""
    try:
        base = base_url(endpoint)
    except ValueError:
        return
    assert base.startswith(("http://", "https://"))
    assert base.isprintable()


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("https://cloud:443", "https://cloud"),
        ("https://cloud:443/image", "https://cloud/image"),
        ("http://cloud:80/image", "http://cloud/image"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]"),
        ("https://cloud:80", "https://cloud:80"),
        ("http://cloud:443", "http://cloud:443"),
        ("https://cloud:9292/image", "https://cloud:9292/image"),
        ("https://cloud", "https://cloud"),
        ("https://[2001:db8::443]", "https://[2001:db8::443]"),
    ],
)
def test_only_the_port_of_the_scheme_is_dropped(url: str, without: str) -> None:
    assert without_default_port(url) == without


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://images.example.com/v2/images/?token=s3cret", "https://images.example.com"),
        ("https://user:s3cret@Cloud:9292/v2", "https://cloud:9292"),
        ("HTTPS://cloud/", "https://cloud"),
        ("//elsewhere:9292/v2", "//elsewhere:9292"),
        ("/v2/images", "another path"),
        ("login?from=//cloud", "another path"),
        ("", "an unusable URL"),
        ("///v2", "another path"),
        ("https://" + "x" * 300, "an unusable URL"),
        ("https://clo\x1bud/", "an unusable URL"),
        ("https://cloud:99999", "an unusable URL"),
        ("javascript:alert(1)", "an unusable URL"),
    ],
)
def test_origin_of_a_redirect_has_only_scheme_host_and_port(url: str, expected: str) -> None:
    assert origin(url) == expected


@given(st.text())
def test_origin_of_any_location_is_short_and_printable(url: str) -> None:
    """A server chooses the text, and it gets into the log."""
    assert len(origin(url)) <= 300
    assert origin(url).isprintable()


HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("endpoint", "project_id", "base", "segment"),
    [
        ("https://cloud/v2/p1", "p1", "https://cloud", "/p1"),
        ("https://cloud:9292/image/v2/123456", "123456", "https://cloud:9292/image", "/123456"),
        ("https://cloud/v1.1/p1", "p1", "https://cloud", "/p1"),
        (f"https://cloud/v2/{HEX}", HEX, "https://cloud", f"/{HEX}"),
        (f"https://cloud/v2/{HEX}", "", "https://cloud", f"/{HEX}"),
        ("https://cloud/v2/p1", "", "https://cloud/v2/p1", ""),
        ("https://cloud/v2/image", "p1", "https://cloud/v2/image", ""),
        (f"https://cloud/v2/{HEX}", "p1", f"https://cloud/v2/{HEX}", ""),
        ("https://cloud/image/p1", "p1", "https://cloud/image/p1", ""),
        ("https://v2/p1", "p1", "https://v2/p1", ""),
        ("https://p1", "p1", "https://p1", ""),
        ("https://cloud", "", "https://cloud", ""),
    ],
)
def test_project_after_the_version_is_recognized(
    endpoint: str, project_id: str, base: str, segment: str
) -> None:
    """A gateway may have a version in the path that is its own."""
    assert base_url(endpoint) == endpoint
    assert service_address(endpoint, project_id) == (base, segment)


@pytest.mark.parametrize(
    ("path", "project"),
    [
        (f"v2/{HEX}", HEX),
        (f"image/v2.0/AUTH_{HEX}", HEX),
        (f"AUTH_{HEX.upper()}", HEX),
        (f"v2/{UUID(HEX)}", HEX),
        (HEX, ""),
        (f"v2/{HEX[1:]}", ""),
        (f"v2/{HEX}/image", ""),
        ("v2/p1", ""),
        ("", ""),
    ],
)
def test_project_at_the_end_of_an_endpoint_is_recognized(path: str, project: str) -> None:
    assert project_at_end(f"https://cloud/{path}") == project


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/images?limit=1", "/v2/p1/images?limit=1"),
        ("/v1/images/a", "/v1/p1/images/a"),
        ("/", "/"),
        ("/versions", "/versions"),
    ],
)
def test_project_is_inserted_after_the_version(path: str, expected: str) -> None:
    assert service_address("https://cloud/v2/p1", "p1").path(path) == expected
    assert service_address("https://cloud/image", "p1").path(path) == path


@given(st.text(), st.text())
def test_any_endpoint_has_an_address(endpoint: str, project_id: str) -> None:
    try:
        base = base_url(endpoint)
    except ValueError:
        return
    service_address(base, project_id)
