"""Tests of exporter.glance.endpoint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.transport.url import base_url

HOSTS = st.sampled_from(["cloud", "cloud.example.com", "192.0.2.1", "[2001:db8::1]"])
PORTS = st.sampled_from(["", ":9292", ":443"])
PREFIXES = st.sampled_from(["", "/image", "/cloud/image", "/glance-v2", "/v2ray"])
SUFFIXES = st.sampled_from(
    ["", "/", "//", "/v1", "/v1/", "/v1.1", "/v2", "/v2//", "/v2.16/", "/V2"]
)


@given(st.sampled_from(["http", "https"]), HOSTS, PORTS, PREFIXES, SUFFIXES)
def test_any_spelling_of_an_endpoint_gives_its_base(
    scheme: str, host: str, port: str, prefix: str, suffix: str
) -> None:
    """Version and slashes at the end go; scheme, host, port and prefix stay."""
    assert (
        base_url(f"{scheme}://{host}{port}{prefix}{suffix}") == f"{scheme}://{host}{port}{prefix}"
    )


@given(HOSTS, st.from_regex(r"(/[a-z0-9.]{0,4}){0,5}", fullmatch=True))
def test_a_base_is_its_own_base(host: str, path: str) -> None:
    """Once normalised, an endpoint does not change, and ends in neither slash nor version."""
    base = base_url(f"https://{host}{path}")
    assert base_url(base) == base
    assert not base.endswith("/")


def test_what_is_no_address_is_left_out() -> None:
    """User, password, query and fragment do not reach a request, a log or a label."""
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
def test_what_is_no_http_url_is_refused(endpoint: str) -> None:
    """What cannot be asked raises ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        base_url(endpoint)


@given(st.text())
def test_any_text_gives_a_base_or_a_value_error(endpoint: str) -> None:
    """Whatever a catalogue says, nothing else than ValueError is raised."""
    try:
        base = base_url(endpoint)
    except ValueError:
        return
    assert base.startswith(("http://", "https://"))
    assert base.isprintable()
