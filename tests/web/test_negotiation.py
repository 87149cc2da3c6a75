import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.negotiation import wants_gzip, wants_openmetrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_TEXT_ONLY = "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        (BROWSER, False),
        (PROMETHEUS_2, True),
        (PROMETHEUS_2_PROTOBUF, True),
        (PROMETHEUS_3, True),
        (PROMETHEUS_TEXT_ONLY, False),
        ("application/openmetrics-text", True),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", True),
        ('application/openmetrics-text; version="1.0.0"; charset=utf-8', True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0, */*", False),
        ("application/*;q=0.5", True),
        ("application/*;q=0.5, text/*;q=0.4", True),
        ("application/*;q=0.4, text/*;q=0.5", False),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4", True),
        ("application/openmetrics-text;q=0.4, text/plain;q=0.5", False),
        ("application/openmetrics-text, text/plain", True),
        ("text/plain, application/openmetrics-text", False),
        ("text/plain;q=0.1, application/openmetrics-text;q=0.2, */*", True),
        ("application/openmetrics-text, text/plain;q=0", True),
        ("text/plain;version=1.0.0, application/openmetrics-text;version=1.0.0;q=0.1", True),
        ("application/openmetrics-text;q=abc", False),
        ("application/openmetrics-text;q=2", False),
        ("application/openmetrics-text;q=1.000", True),
        ("application/openmetrics-text;q=0.0001", False),
        ("application/json", False),
        (",,;;=,q=1", False),
    ],
)
def test_format_is_chosen_by_weight(accept: str, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, br", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("identity;q=1, gzip;q=0", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=1.0", True),
        ("identity, gzip", True),
        ("identity", False),
        ("gzip;q=none", False),
    ],
)
def test_compression_is_chosen_by_weight(accept_encoding: str, gzip: bool) -> None:
    assert wants_gzip(accept_encoding) is gzip


@given(st.text(alphabet='gzipaqo/t*e-x=;, .01"\xff'))
def test_no_header_makes_the_negotiation_fail(header: str) -> None:
    assert wants_openmetrics(header) in {True, False}
    assert wants_gzip(header) in {True, False}
