import pytest

from exporter.model.outcome import REASONS, GoneEvidence, reason_for_status

OWN_REASONS = {
    **dict.fromkeys((300, 405, 410, 501), "api_version"),
    401: "unauthorized",
    403: "forbidden",
    429: "rate_limited",
}
"""Rows of the table of reasons that name a status code."""


@pytest.mark.parametrize("code", [code for code in range(100, 600) if code not in {200, 404}])
def test_every_status_code_has_its_reason(code: int) -> None:
    rest = "server_error" if code >= 500 else "rejected"
    assert reason_for_status(code) == OWN_REASONS.get(code, rest)
    assert reason_for_status(code) in REASONS


@pytest.mark.parametrize(
    ("code", "retry_after", "reason"),
    [
        (413, True, "rate_limited"),
        (413, False, "rejected"),
        (429, True, "rate_limited"),
        (503, True, "server_error"),
        (400, True, "rejected"),
    ],
)
def test_retry_after_makes_only_413_a_rate_limit(code: int, retry_after: bool, reason: str) -> None:
    assert reason_for_status(code, retry_after) == reason


def test_reasons_do_not_change() -> None:
    """Dashboards and alerts use these label values."""
    assert set(REASONS) == {
        "unconfirmed",
        "unauthorized",
        "forbidden",
        "api_version",
        "rate_limited",
        "rejected",
        "server_error",
        "timeout",
        "tls",
        "connection",
        "malformed",
        "not_polled",
        "internal",
    }


@pytest.mark.parametrize(
    ("evidence", "summary"),
    [
        (GoneEvidence(0.0, rechecks=1), "404 on 2 connections"),
        (
            GoneEvidence(0.0, rechecks=8, probes=3),
            "404 on 12 connections, 3 of them with a control",
        ),
        (
            GoneEvidence(0.0, rechecks=40, probes=12, cycles=2),
            "404 on 53 connections, 12 of them with a control, in 2 cycles",
        ),
    ],
)
def test_evidence_is_summarized_in_words(evidence: GoneEvidence, summary: str) -> None:
    assert evidence.summary == summary
