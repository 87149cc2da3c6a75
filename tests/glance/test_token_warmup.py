import threading

from exporter.glance.token_warmup import TokenWarmup

GENEROUS = 10.0


class Follower:
    """A thread that takes its turn and says so."""

    def __init__(self, lead: TokenWarmup, generation: int = 1, timeout: float = 60.0) -> None:
        self.in_turn = threading.Event()
        self.go_on = threading.Event()

        def work() -> None:
            with lead.turn(generation, timeout):
                self.in_turn.set()
                self.go_on.wait(GENEROUS)

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()


def test_the_first_goes_alone_and_the_rest_follow() -> None:
    """While the first request with a token is out, the others wait; then all go together."""
    lead = TokenWarmup()
    first = Follower(lead)
    assert first.in_turn.wait(GENEROUS)
    rest = [Follower(lead) for _ in range(5)]
    assert not any(each.in_turn.wait(0.01) for each in rest)
    first.go_on.set()
    assert all(each.in_turn.wait(GENEROUS) for each in rest)
    for each in rest:
        each.go_on.set()


def test_a_new_token_makes_one_go_ahead_again() -> None:
    """Each generation has its own first; an older one no longer waits."""
    lead = TokenWarmup()
    with lead.turn(1, GENEROUS):
        pass
    second = Follower(lead, generation=2)
    assert second.in_turn.wait(GENEROUS)
    third = Follower(lead, generation=2)
    assert Follower(lead, generation=1).in_turn.wait(GENEROUS)
    assert not third.in_turn.wait(0.01)
    second.go_on.set()
    assert third.in_turn.wait(GENEROUS)
    third.go_on.set()


def test_a_first_that_fails_lets_the_rest_go() -> None:
    """Its failure is an answer of a kind: the others do not wait for another leader."""
    lead = TokenWarmup()
    failed = False
    try:
        with lead.turn(1, GENEROUS):
            raise OSError
    except OSError:
        failed = True
    with lead.turn(1, 0.0):
        pass
    assert failed


def test_nobody_waits_longer_than_told() -> None:
    """A first that hangs delays the others by their own limit at most."""
    lead = TokenWarmup()
    first = Follower(lead)
    assert first.in_turn.wait(GENEROUS)
    assert Follower(lead, timeout=0.02).in_turn.wait(GENEROUS)
    waiting = Follower(lead)
    assert not waiting.in_turn.wait(0.01)
    first.go_on.set()
    assert waiting.in_turn.wait(GENEROUS)
