from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.outcome import Found
from exporter.web.negotiation import ESCAPINGS, OPENMETRICS, TEXT, negotiate_format, wants_gzip
from tests.support.images import COMPLETE, TARGET, observed
from tests.support.reference_collector import store_registry

LABELLED = replace(TARGET, operator_labels=(("cost_center", "7"), ("team", "web")))
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
PROMETHEUS_3_TEXT_ONLY = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.2,*/*;q=0.1"
PROMETHEUS_TEXT_ONLY = "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("*/*", False),
        (BROWSER, False),
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
        ("text/plain;version=1.0.0, application/openmetrics-text;version=1.0.0;q=0.1", False),
        ("text/plain;version=2.0.0, application/openmetrics-text;version=1.0.0;q=0.1", True),
        ("application/openmetrics-text;q=abc", False),
        ("application/openmetrics-text;q=2", False),
        ("application/openmetrics-text;q=1.000", True),
        ("application/openmetrics-text;q=0.0001", False),
        ("application/json", False),
        (",,;;=,q=1", False),
    ],
)
def test_format_is_chosen_by_weight(accept: str, openmetrics: bool) -> None:
    assert negotiate_format(accept).is_openmetrics is openmetrics


TEXT_1_0_0 = "text/plain; version=1.0.0; charset=utf-8; escaping="
OPENMETRICS_1_0_0 = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping="


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("text/plain", TEXT),
        ("text/plain;escaping=allow-utf-8", TEXT),
        ("text/plain;version=0.0.4;escaping=values", TEXT),
        (PROMETHEUS_TEXT_ONLY, TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_2_PROTOBUF, OPENMETRICS),
        (PROMETHEUS_3, f"{OPENMETRICS_1_0_0}allow-utf-8"),
        (PROMETHEUS_3_TEXT_ONLY, f"{TEXT_1_0_0}allow-utf-8"),
        ("application/openmetrics-text", f"{OPENMETRICS_1_0_0}underscores"),
        ("text/plain;version=1.0.0", f"{TEXT_1_0_0}underscores"),
        ('text/plain; Version="1.0.0"; Escaping="values"', f"{TEXT_1_0_0}values"),
        ("text/plain;version=1.0.0;escaping=underscores", f"{TEXT_1_0_0}underscores"),
        ("text/plain;version=1.0.0;escaping=dots", f"{TEXT_1_0_0}underscores"),
        ("text/plain;version=1.0.0;escaping=none%0d%0aX: y", f"{TEXT_1_0_0}underscores"),
        ("text/plain;version=0.0.4;q=0.5,text/plain;version=1.0.0;q=0.4", TEXT),
        ("text/plain;version=1.0.0;q=0,*/*", TEXT),
        ("text/plain;version=1.0.0;q=0", TEXT),
        ("text/plain;version=0.0.4;q=0.1,*/*;q=0.5", OPENMETRICS),
    ],
)
def test_content_type_names_version_and_escaping(accept: str, content_type: str) -> None:
    chosen = negotiate_format(accept)
    assert chosen.content_type == content_type
    assert chosen.is_openmetrics is content_type.startswith("application/openmetrics-text")


@pytest.mark.parametrize("escaping", ESCAPINGS)
def test_names_of_metrics_and_labels_are_the_same_in_every_escaping_scheme(escaping: str) -> None:
    registry = store_registry((LABELLED, observed(Found(COMPLETE))))
    for metrics in (ExporterMetrics("0").registry, registry):
        default, escaped = (
            # Without values: those of the process change at any time.
            [line.rpartition(" ")[0] for line in text.decode().splitlines()]
            for text in (generate_latest(metrics), generate_latest(metrics, escaping))
        )
        assert escaped == default


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
    assert negotiate_format(header).content_type.startswith((TEXT, TEXT_1_0_0, OPENMETRICS_1_0_0))
    assert wants_gzip(header) in {True, False}
