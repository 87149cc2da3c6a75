import pytest

from exporter.model.outcome import Failed, Found, ImageResult
from exporter.model.replies import Batch, BatchReply, ImageReply, ProbeReply, RequestFacts
from tests.support.images import ACTIVE

FACTS = RequestFacts(sent_at=1.0, received_at=3.0)
FAILED = Failed("timeout")


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (ImageReply(FACTS, Found(ACTIVE)), None),
        (ImageReply(FACTS, FAILED), FAILED),
        (BatchReply(FACTS, Batch({})), None),
        (BatchReply(FACTS, FAILED), FAILED),
        (ProbeReply(FACTS, Found(ACTIVE)), None),
        (ProbeReply(FACTS, Found(ACTIVE), Found(ACTIVE), FAILED), FAILED),
        (ProbeReply(FACTS, FAILED), FAILED),
    ],
)
def test_failure_of_a_reply_is_that_of_any_of_its_requests(
    reply: ImageReply | BatchReply | ProbeReply, failure: Failed | None
) -> None:
    assert reply.failure == failure


@pytest.mark.parametrize("results", [(FAILED, Found(ACTIVE)), (Found(ACTIVE), FAILED)])
def test_failure_of_a_probe_is_the_first_one(results: tuple[ImageResult, ImageResult]) -> None:
    late = Failed("server_error")
    assert ProbeReply(FACTS, *results, late).failure == FAILED


@pytest.mark.parametrize(("retry_after", "at"), [(None, None), (0.0, 3.0), (60.0, 63.0)])
def test_waiting_time_counts_from_the_response(retry_after: float | None, at: float | None) -> None:
    assert RequestFacts(1.0, 3.0, retry_after).retry_at == at
