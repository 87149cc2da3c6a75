import threading

import pytest

from exporter.glance.token_warmup import TokenWarmup
from tests.support.wait import DEADLINE

SOON = 0.01


class Requester:
    """A thread that sends a request when the warm-up permits, until ``response`` is set."""

    def __init__(self, warmup: TokenWarmup, generation: int = 1, timeout: float = DEADLINE) -> None:
        self.sent = threading.Event()
        self.response = threading.Event()

        def request() -> None:
            with warmup.first_alone(generation, timeout):
                self.sent.set()
                self.response.wait(DEADLINE)

        threading.Thread(target=request, daemon=True).start()


def test_first_request_is_sent_alone_and_the_others_after_its_response() -> None:
    warmup = TokenWarmup()
    first = Requester(warmup)
    assert first.sent.wait(DEADLINE)
    others = [Requester(warmup) for _ in range(5)]
    assert not any(other.sent.wait(SOON) for other in others)
    first.response.set()
    assert all(other.sent.wait(DEADLINE) for other in others)
    for other in others:
        other.response.set()


def test_new_token_is_warmed_up_while_requests_with_the_old_one_do_not_wait() -> None:
    warmup = TokenWarmup()
    with warmup.first_alone(1, DEADLINE):
        pass
    first = Requester(warmup, generation=2)
    assert first.sent.wait(DEADLINE)
    second = Requester(warmup, generation=2)
    assert Requester(warmup, generation=1).sent.wait(DEADLINE)
    assert not second.sent.wait(SOON)
    first.response.set()
    assert second.sent.wait(DEADLINE)
    second.response.set()


def test_failed_first_request_warms_the_token_as_well() -> None:
    warmup = TokenWarmup()
    with pytest.raises(OSError, match="reset"), warmup.first_alone(1, DEADLINE):
        raise OSError("reset")
    with warmup.first_alone(1, 0.0):
        pass


def test_request_waits_no_longer_than_its_timeout() -> None:
    warmup = TokenWarmup()
    first = Requester(warmup)
    assert first.sent.wait(DEADLINE)
    assert Requester(warmup, timeout=0.02).sent.wait(DEADLINE)
    waiting = Requester(warmup)
    assert not waiting.sent.wait(SOON)
    first.response.set()
    assert waiting.sent.wait(DEADLINE)
