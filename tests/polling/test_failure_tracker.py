import pytest

from exporter.model.outcome import Failed, Reason
from exporter.polling.failure_tracker import MAX_CAUSE_CHANGES, Cause, FailureTracker

REFUSED = Failed("unauthorized", "HTTP 401")
NO_FILE = Failed("unauthorized", "sign-in: token file /run/token cannot be read: No such file")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 500", "HTTP 503"),
        ("no response after 1.02 s", "no response after 0.97 s"),
        ("10.0.0.1:9292: Connection refused", "10.0.0.2:9292: Connection refused"),
        ("[Errno 111] refused, req-5e2a", "[Errno 111] refused, req-77b1"),
        ("no image 'first'", "no image 'another one'"),
        ('the name "a" is wrong', 'the name "b c" is wrong'),
        ("after deadbeef", "after (cafebabe)"),
    ],
)
def test_details_that_differ_in_a_value_have_the_same_cause(one: str, other: str) -> None:
    assert Cause.of(Failed("timeout", one)) == Cause.of(Failed("timeout", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (REFUSED, NO_FILE),
        (Failed("connection", "refused"), Failed("connection", "reset by peer")),
        (Failed("timeout", "HTTP 500"), Failed("server_error", "HTTP 500")),
    ],
)
def test_other_words_or_another_reason_are_another_cause(one: Failed, other: Failed) -> None:
    assert Cause.of(one) != Cause.of(other)


def news(tracker: FailureTracker, *failures: Failed) -> list[bool]:
    """Return for each failure if it should be logged."""
    return [tracker.record_failure(Cause.of(failed)) for failed in failures]


def test_a_change_of_the_cause_is_logged() -> None:
    tracker = FailureTracker()
    assert news(tracker, REFUSED, REFUSED, NO_FILE, NO_FILE, REFUSED) == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_cause_that_alternates_is_not_logged_forever() -> None:
    tracker = FailureTracker()
    assert sum(news(tracker, *[REFUSED, NO_FILE] * 20)) == 1 + MAX_CAUSE_CHANGES


@pytest.mark.parametrize("reason", ["timeout", "forbidden"])
def test_a_change_of_the_reason_is_always_logged(reason: Reason) -> None:
    tracker = FailureTracker()
    news(tracker, *[REFUSED, NO_FILE] * 20)
    assert news(tracker, Failed(reason), REFUSED, NO_FILE) == [True, True, True]


def test_a_success_is_logged_once_after_a_failure() -> None:
    tracker = FailureTracker()
    assert not tracker.record_success()
    news(tracker, *[REFUSED, NO_FILE] * 20)
    assert (tracker.record_success(), tracker.record_success()) == (True, False)
    assert news(tracker, REFUSED, NO_FILE) == [True, True]
