from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.model.outcome import Failed, Reading, Reason
from exporter.polling.engine.batching import (
    MAX_PAGES,
    MIN_LIST_SIZE,
    PROBE_FAILURES_BEFORE_FALLBACK,
    BatchPlanner,
    one_by_one,
)
from exporter.polling.engine.cycle import Cycle
from exporter.polling.engine.pacing import LIST_WEIGHT, RETRIES, CyclePacing
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind
from tests.polling.engine.rehearsal import (
    LISTED,
    MISSING,
    PACE,
    START,
    Answers,
    Rehearsal,
    Says,
    failed,
    found,
    image_id_of,
    listing,
    rehearse,
    targets,
    word,
)

IDS = tuple(f"image-{number:02}" for number in range(16))
REFUSED = Says(failed("rejected"), splits=True)
UNREADABLE = Says(failed("malformed"), splits=True)
BROKEN = Says(failed("server_error"))
ONE_AT_A_TIME = replace(PACE, concurrency=1)


@dataclass(frozen=True)
class Cloud:
    """Which images a cloud has, and which of them its lists leave out."""

    there: frozenset[str] = frozenset(IDS)
    hidden: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()

    def __call__(self, ask: PollRequest, _: float) -> Says | Reading:
        """What it replies."""
        if ask.kind is RequestKind.LIST:
            return LISTED
        if ask.kind is not RequestKind.BATCH:
            image_id = image_id_of(ask)
            return found(image_id) if image_id in self.there else MISSING
        ids = {target.image_id for target in ask.targets} & self.there - self.unlisted
        ids = ids & self.hidden if ask.hidden else ids - self.hidden
        return listing(*map(found, ids))


def asks_of(run: Rehearsal, kind: RequestKind) -> list[PollRequest]:
    """The questions of this kind, in order."""
    return [ask for _, ask in run.asked if ask.kind is kind]


def sizes(run: Rehearsal) -> list[int]:
    """How many images each list was asked for."""
    return [len(ask.targets) for ask in asks_of(run, RequestKind.BATCH)]


def together(
    answers: Answers,
    *,
    past: CycleHistory | None = None,
    pace: CyclePacing = PACE,
    batches: Iterable[tuple[str, ...]] = (IDS,),
    random: float = 0.5,
) -> Rehearsal:
    """A cycle over the images, asked for in these batches."""
    groups = [tuple(targets(*batch)) for batch in batches]
    ids = [target.image_id for group in groups for target in group]
    return rehearse(ids, answers, past=past, pace=pace, groups=groups, random=random)


def unless(
    answers: Answers, *, lists: Says, over: int = 0, about: str = "", hidden: bool | None = None
) -> Answers:
    """The same, but a reply to lists of more than ``over`` images, to those about one, or all."""

    def say(ask: PollRequest, now: float) -> Says | Reading:
        named = not about or about in {target.image_id for target in ask.targets}
        kind = hidden in {None, ask.hidden}
        hit = ask.kind is RequestKind.BATCH and len(ask.targets) > over and named and kind
        return lists if hit else answers(ask, now)

    return say


# What is listed


def test_a_batch_of_images_that_are_there_is_one_request() -> None:
    """Every target has its outcome from one list, and nothing else is asked."""
    run = together(Cloud())
    assert run.words == dict.fromkeys(IDS, "found")
    assert sizes(run) == [16]
    assert len(run.asked) == 1
    stats = run.cycle.stats
    assert (stats.polls, stats.found, stats.requests, stats.accepted) == (16, 16, 1, True)


def test_only_what_is_not_listed_is_looked_for_among_the_hidden() -> None:
    """The second list is for the images that the first has not."""
    run = together(Cloud(hidden=frozenset(IDS[3:7])))
    assert set(run.words.values()) == {"found"}
    plain, hidden = asks_of(run, RequestKind.BATCH)
    assert (plain.hidden, hidden.hidden) == (False, True)
    assert {target.image_id for target in hidden.targets} == set(IDS[3:7])
    assert len(run.asked) == 2


def test_what_no_list_gives_is_asked_for_by_itself() -> None:
    """An image that lists leave out is there all the same, at one request each."""
    run = together(Cloud(unlisted=frozenset(IDS[:4])))
    assert run.words == dict.fromkeys(IDS, "found")
    assert sorted(run.kinds(RequestKind.POLL)) == sorted(IDS[:4])
    assert len(run.asked) == 2 + 4


def test_one_image_left_over_needs_no_further_list() -> None:
    """Asking for it tells more than a list would, with as many requests."""
    run = together(Cloud(hidden=frozenset(IDS[:1])))
    assert set(run.words.values()) == {"found"}
    assert sizes(run) == [16]
    assert run.kinds(RequestKind.POLL) == [IDS[0]]


def test_gone_takes_two_requests_at_first_sight_and_the_proof_that_v1_asks_for() -> None:
    """A batch without an image proves nothing about it: 404, 404 again, and then a proof."""
    gone = frozenset(IDS[:3])
    run = together(Cloud(there=frozenset(IDS) - gone), past=CycleHistory(existing=frozenset(IDS)))
    assert {each for each, word in run.words.items() if word == "gone"} == gone
    assert (
        sorted(run.kinds(RequestKind.POLL))
        == sorted(run.kinds(RequestKind.CONFIRM))
        == sorted(gone)
    )
    assert len(run.kinds(RequestKind.LIST)) == 1
    assert len(run.asked) == 2 + 2 * 3 + 1


def test_a_404_that_was_not_confirmed_is_not_gone() -> None:
    """An image that is there the second time is found."""
    cloud = Cloud(unlisted=frozenset(IDS[:2]))

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        return MISSING if ask.kind is RequestKind.POLL else cloud(ask, now)

    assert together(answers).words == dict.fromkeys(IDS, "found")


def test_one_proof_serves_all_that_are_confirmed_at_about_the_same_time() -> None:
    """Each 404 that comes in a moment later would else cost a list of its own."""
    gone = IDS[:4]
    cloud = Cloud(there=frozenset(IDS[4:]))

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        if ask.kind is RequestKind.CONFIRM:
            return Says(MISSING, 0.1 * (1 + gone.index(image_id_of(ask))))
        return cloud(ask, now)

    run = together(answers, past=CycleHistory(existing=frozenset(IDS)))
    assert [run.words[each] for each in gone] == ["gone"] * 4
    assert len(run.kinds(RequestKind.LIST)) == 1


def test_a_later_batch_is_a_proof_too() -> None:
    """It is a list of the same service, for the same credentials, whatever is on it."""
    cloud = Cloud(there=frozenset(IDS[1:8]))

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        return failed("forbidden") if ask.kind is RequestKind.LIST else cloud(ask, now)

    past = CycleHistory(existing=frozenset(IDS[:8]), gone=frozenset(IDS[8:]))
    assert together(answers, past=past, batches=[IDS[:8]]).words[IDS[0]] == "unconfirmed"
    run = together(answers, past=past, batches=[IDS[:8], IDS[8:]])
    assert run.words[IDS[0]] == "gone"


def test_one_that_is_gone_already_takes_one_request() -> None:
    """It is asked for by itself, as the poller plans it; the batch is for the others."""
    gone = IDS[0]
    run = together(
        Cloud(there=frozenset(IDS[1:])),
        past=CycleHistory(existing=frozenset(IDS[1:]), gone=frozenset({gone})),
        batches=[IDS[1:], (gone,)],
    )
    assert run.words == {**dict.fromkeys(IDS, "found"), gone: "gone"}
    assert [ask.kind for _, ask in run.asked] == [RequestKind.BATCH, RequestKind.POLL]


def test_everything_at_once_is_suspicious_in_batches_too() -> None:
    """Lists that work and have none of the images: unconfirmed first, gone a cycle later."""
    nothing = Cloud(there=frozenset())
    past = CycleHistory(existing=frozenset(IDS))
    run = together(nothing, past=past)
    assert set(run.words.values()) == {"unconfirmed"}
    again = together(nothing, past=run.past(past))
    assert set(again.words.values()) == {"gone"}
    assert again.cycle.all_vanished


def test_a_malformed_entry_fails_its_own_image() -> None:
    """The others of the list are found, and it is not asked for again."""
    spoiled = Failed("malformed", IDS[4])
    others = [found(each) for each in IDS if each != IDS[4]]
    run = together(lambda *_: listing(spoiled, *others))
    assert run.words == {**dict.fromkeys(IDS, "found"), IDS[4]: "malformed"}
    assert len(run.asked) == 1


def test_an_image_that_was_not_asked_for_changes_nothing() -> None:
    """A list may hold what it likes."""
    run = together(lambda *_: listing(found("stranger"), *map(found, IDS)))
    assert run.words == dict.fromkeys(IDS, "found")


# Pages


def test_pages_are_followed() -> None:
    """A server whose pages are shorter than a batch gives it on several."""

    def answers(ask: PollRequest, _: float) -> Says:
        start = int(ask.page or "0")
        further = str(start + 4) if start + 4 < len(IDS) else None
        return listing(*map(found, IDS[start : start + 4]), next_path=further)

    run = together(answers)
    assert run.words == dict.fromkeys(IDS, "found")
    assert [ask.page for _, ask in run.asked] == [None, "4", "8", "12"]
    assert sizes(run) == [16, 12, 8, 4]


def test_pages_without_end_are_bounded() -> None:
    """After so many pages the images are looked for otherwise."""
    cloud = Cloud()

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        if ask.kind is not RequestKind.BATCH:
            return cloud(ask, now)
        return listing(next_path=f"{ask.page_number}")

    run = together(answers)
    assert run.words == dict.fromkeys(IDS, "found")
    assert len(sizes(run)) == 2 * (MAX_PAGES + 1)
    assert sorted(run.kinds(RequestKind.POLL)) == list(IDS)


def test_a_page_that_names_itself_as_the_next_is_the_last() -> None:
    """The same page again would say the same."""
    cloud = Cloud()

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        return listing(next_path="again") if ask.kind is RequestKind.BATCH else cloud(ask, now)

    run = together(answers)
    assert run.words == dict.fromkeys(IDS, "found")
    assert len(sizes(run)) == 4


# Lists that fail


@pytest.mark.parametrize("refusal", [REFUSED, UNREADABLE])
def test_a_list_that_is_too_long_is_split(refusal: Says) -> None:
    """One image goes ahead; since that is listed, halves follow until they are short enough."""
    run = together(unless(Cloud(), lists=refusal, over=4), pace=ONE_AT_A_TIME)
    assert run.words == dict.fromkeys(IDS, "found")
    assert sizes(run) == [16, 1, 7, 8, 3, 4, 4, 4]
    assert run.kinds(RequestKind.POLL) == []


def test_one_image_that_spoils_every_list_is_asked_for_by_itself() -> None:
    """The others are found by lists, at a number of requests that grows with the logarithm."""
    spoilt = IDS[9]
    run = together(unless(Cloud(), lists=UNREADABLE, about=spoilt))
    assert run.words == dict.fromkeys(IDS, "found")
    assert spoilt in run.kinds(RequestKind.POLL)
    assert len(run.asked) <= 12


def test_the_scout_itself_may_be_what_spoils_the_list() -> None:
    """A second one goes ahead before lists are given up."""
    run = together(unless(Cloud(), lists=UNREADABLE, about=IDS[0]), pace=ONE_AT_A_TIME)
    assert run.words == dict.fromkeys(IDS, "found")
    assert run.kinds(RequestKind.POLL) == [IDS[0]]
    assert sizes(run) == [16, 1, 1, 7, 7]


@pytest.mark.parametrize(
    ("refusal", "scouts"), [(REFUSED, 1), (UNREADABLE, PROBE_FAILURES_BEFORE_FALLBACK)]
)
def test_a_server_that_refuses_every_list_is_asked_for_each_image(
    refusal: Says, scouts: int
) -> None:
    """One list, a scout or two, and then no list any more, for no batch of the cycle."""
    run = together(
        unless(Cloud(), lists=refusal), pace=ONE_AT_A_TIME, batches=[IDS[:6], IDS[6:11], IDS[11:]]
    )
    assert run.words == dict.fromkeys(IDS, "found")
    assert sorted(run.kinds(RequestKind.POLL)) == list(IDS)
    assert sizes(run) == [6] + [1] * scouts
    assert len(run.asked) == 1 + scouts + 16


def test_batches_asked_at_the_same_time_are_given_up_at_the_same_time() -> None:
    """With many in flight each may be refused, and no more than a scout for each."""
    batches = [IDS[:5], IDS[5:10], IDS[10:]]
    run = together(unless(Cloud(), lists=REFUSED), batches=batches)
    assert run.words == dict.fromkeys(IDS, "found")
    assert len(sizes(run)) <= 2 * len(batches)
    assert sorted(run.kinds(RequestKind.POLL)) == list(IDS)


def test_what_several_lists_leave_out_is_asked_for_together() -> None:
    """One list of hidden images serves all that are due at once, and fits a request line."""
    cloud = Cloud(hidden=frozenset((*IDS[:3], *IDS[8:11])))
    run = together(cloud, batches=[IDS[:8], IDS[8:]])
    assert run.words == dict.fromkeys(IDS, "found")
    lists = asks_of(run, RequestKind.BATCH)
    assert [(ask.hidden, len(ask.targets)) for ask in lists] == [(False, 8), (False, 8), (True, 6)]
    crowded = together(Cloud(hidden=frozenset(IDS)), batches=[IDS[:8], IDS[8:]])
    assert [len(ask.targets) for ask in asks_of(crowded, RequestKind.BATCH)] == [8, 8, 8, 8]


def test_a_server_that_knows_no_hidden_images_still_gives_the_others() -> None:
    """Only lists of hidden images are given up."""
    cloud = Cloud(hidden=frozenset(IDS[:4]))
    run = together(
        unless(cloud, lists=REFUSED, hidden=True),
        pace=ONE_AT_A_TIME,
        batches=[(*IDS[:2], *IDS[4:10]), (*IDS[2:4], *IDS[10:])],
    )
    assert run.words == dict.fromkeys(IDS, "found")
    assert [ask.hidden for ask in asks_of(run, RequestKind.BATCH)] == [False, False, True, True]
    run = together(unless(Cloud(hidden=frozenset(IDS)), lists=REFUSED, hidden=True))
    assert run.words == dict.fromkeys(IDS, "found")
    assert sizes(run) == [16, 16, 1]


@pytest.mark.parametrize(
    "reason",
    ["connection", "timeout", "tls", "unauthorized", "forbidden", "rate_limited", "api_version"],
)
def test_a_batch_is_never_split_for_what_is_not_its_fault(reason: Reason) -> None:
    """However often it is asked again, it is asked for whole, and fails whole."""
    for batches in ([IDS], [IDS[:8], IDS[8:]]):
        run = together(
            unless(Cloud(), lists=Says(failed(reason)), about=IDS[0]),
            batches=batches,
            pace=ONE_AT_A_TIME,
        )
        assert {run.words[each] for each in batches[0]} == {reason}
        assert set(sizes(run)) == {len(batches[0])}
        assert run.kinds(RequestKind.POLL) == []


def test_a_5xx_splits_a_batch_while_other_requests_are_answered() -> None:
    """One image on which the server fails costs only itself."""

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        if IDS[12] in {target.image_id for target in ask.targets}:
            return BROKEN
        return Cloud()(ask, now)

    run = together(answers, batches=[IDS[:8], IDS[8:]])
    assert run.words == {**dict.fromkeys(IDS, "found"), IDS[12]: "server_error"}
    assert len(run.asked) <= 16


def test_a_5xx_in_the_first_batch_waits_for_an_answer_of_another_request() -> None:
    """Where nothing else is under way the list that proves the API is asked, before splitting."""

    def answers(ask: PollRequest, now: float) -> Says | Reading:
        if IDS[1] in {target.image_id for target in ask.targets}:
            return BROKEN
        return Cloud()(ask, now)

    run = together(answers, past=CycleHistory(existing=frozenset(IDS)))
    assert run.words == {**dict.fromkeys(IDS, "found"), IDS[1]: "server_error"}
    assert sizes(run)[:3] == [16, 16, 16]
    assert len(run.kinds(RequestKind.LIST)) == 1


def test_a_5xx_to_everything_splits_nothing() -> None:
    """Three lists and the one that would prove the API, and every image fails."""
    run = together(lambda *_: BROKEN)
    assert set(run.words.values()) == {"server_error"}
    assert sizes(run) == [16, 16, 16]
    assert [ask.kind for _, ask in run.asked[3:]] == [RequestKind.LIST]
    assert run.cycle.stats.polls == run.cycle.stats.failures["server_error"] == 16


def test_a_5xx_that_opens_the_breaker_splits_nothing_any_more() -> None:
    """The tenth failure in a row is that of a list, and it is the last that is asked."""
    ids = tuple(f"image-{number}" for number in range(60))
    first = [True]

    def answers(ask: PollRequest, _: float) -> Says | Reading:
        if first:
            first.clear()
            return listing(*(found(target.image_id) for target in ask.targets))
        return BROKEN

    run = together(answers, batches=[ids[:20], ids[20:40], ids[40:]], pace=ONE_AT_A_TIME)
    assert run.cycle.breaker_open
    assert [len(ask.targets) for _, ask in run.asked] == [20, 20, 10, 10, 5, 5, 5, 5, 1, 1, 3]
    assert run.cycle.stats.polls == 60


def test_a_404_to_the_list_proves_nothing_about_its_images() -> None:
    """They are unconfirmed, at one request, and none speaks for another batch's being there."""
    run = together(
        lambda *_: Says(failed("unconfirmed")), past=CycleHistory(existing=frozenset(IDS))
    )
    assert set(run.words.values()) == {"unconfirmed"}
    assert len(run.asked) == 1


# Time, retries, the breaker


@pytest.mark.parametrize("reason", ["connection", "timeout", "rate_limited"])
def test_a_whole_batch_is_retried(reason: Reason) -> None:
    """A passing failure is asked again for the same images, a bounded number of times."""
    says = [Says(failed(reason)), Says(failed(reason)), listing(*map(found, IDS))]
    run = together(lambda *_: says.pop(0))
    assert run.words == dict.fromkeys(IDS, "found")
    assert sizes(run) == [16, 16, 16]
    assert run.cycle.stats.retries == 2
    run = together(lambda *_: Says(failed(reason)))
    assert sizes(run) == [16] * (1 + RETRIES)
    assert run.cycle.stats.failures == {reason: 16}


def test_a_further_page_is_retried_as_that_page() -> None:
    """The images of the pages before are found already."""
    says = [
        listing(*map(found, IDS[:8]), next_path="two"),
        Says(failed("connection")),
        listing(*map(found, IDS[8:])),
    ]
    run = together(lambda *_: says.pop(0))
    assert run.words == dict.fromkeys(IDS, "found")
    assert [ask.page for _, ask in run.asked] == [None, "two", "two"]
    assert sizes(run) == [16, 8, 8]


def test_splits_end_with_the_cycle() -> None:
    """What was refused and could not be asked again in time keeps the reason of its refusal."""
    slow = replace(REFUSED, seconds=20.0)
    run = together(unless(Cloud(), lists=slow), pace=ONE_AT_A_TIME)
    assert sizes(run) == [16, 1]
    assert run.now <= START + PACE.interval
    assert run.cycle.stats.polls == 16
    slow = replace(REFUSED, seconds=54.5)
    run = together(unless(Cloud(), lists=slow), pace=ONE_AT_A_TIME)
    assert set(run.words.values()) == {"rejected"}


def test_a_wait_that_is_asked_for_holds_up_splits() -> None:
    """The whole cloud is left alone, and goes on after."""
    run = together(unless(Cloud(), lists=replace(REFUSED, wait=20.0), over=8))
    assert run.words == dict.fromkeys(IDS, "found")
    assert run.asked[1][0] >= START + 20.0
    run = together(unless(Cloud(), lists=replace(REFUSED, wait=300.0), over=8))
    assert set(run.words.values()) == {"rejected"}
    assert len(run.asked) == 1


def test_at_the_deadline_each_target_of_a_batch_in_flight_has_one_outcome() -> None:
    """Those asked for timed out, those of a batch that was not begun were not polled."""
    hang = Says(None, seconds=1000.0)
    run = together(lambda *_: hang, batches=[IDS[:8], IDS[8:]], pace=ONE_AT_A_TIME)
    assert [run.words[each] for each in IDS] == ["timeout"] * 8 + ["not_polled"] * 8
    assert run.cycle.stats.polls == 16
    assert len(run.verdicts) == 16


def test_the_rest_of_a_scout_in_flight_times_out_with_it() -> None:
    """Images that wait for another list are not forgotten when the time is over."""

    def answers(ask: PollRequest, _: float) -> Says:
        return REFUSED if len(ask.targets) > 1 else Says(None, seconds=1000.0)

    run = together(answers)
    assert set(run.words.values()) == {"timeout"}
    assert len(run.verdicts) == 16


def test_the_breakers_probe_is_one_image_and_not_asked_for_twice() -> None:
    """Its batch follows without it once it was answered, and not at all while it is not."""
    past = CycleHistory(existing=frozenset(IDS), breaker_open=True, probe_count=3)
    run = together(Cloud(), past=past, batches=[IDS[:8], IDS[8:]])
    assert run.words == dict.fromkeys(IDS, "found")
    first, *others = [ask for _, ask in run.asked]
    assert (first.kind, first.targets) == (RequestKind.POLL, (targets(*IDS)[3],))
    assert [len(ask.targets) for ask in others] == [7, 8]
    shut = together(lambda *_: Says(failed("timeout")), past=past)
    assert shut.words == {**dict.fromkeys(IDS, "not_polled"), IDS[3]: "timeout"}
    assert len(shut.asked) == 1


def test_a_batch_with_a_new_image_is_asked_at_once() -> None:
    """The others are spread over the interval, each at its place."""
    new = frozenset({IDS[9]})
    run = together(
        Cloud(),
        past=CycleHistory(existing=frozenset(IDS) - new, immediate=new),
        batches=[IDS[:4], IDS[4:8], IDS[8:]],
        pace=replace(PACE, concurrency=2 * LIST_WEIGHT),
    )
    asked = {ask.targets[0].image_id: now for now, ask in run.asked}
    assert asked == {IDS[0]: START, IDS[4]: START + 16.0, IDS[8]: START}


@pytest.mark.parametrize("concurrency", [1, LIST_WEIGHT - 1, LIST_WEIGHT, 3 * LIST_WEIGHT])
def test_a_list_weighs_as_much_as_several_requests(concurrency: int) -> None:
    """Few lists are in flight at once, and images that are asked for alone do not wait for them."""
    lists = [IDS[start : start + 3] for start in range(0, 15, 3)]
    one_by_one = IDS[15:]
    pace = replace(PACE, concurrency=concurrency)
    run = together(Cloud(), batches=[*lists, *((each,) for each in one_by_one)], pace=pace)
    assert set(run.words.values()) == {"found"}
    starts = [now for now, ask in run.asked if ask.kind is RequestKind.BATCH]
    most = max(1, concurrency // LIST_WEIGHT)
    assert max(Counter(starts).values()) == min(most, len(lists))
    assert run.cycle.stats.busy_seconds == pytest.approx(
        0.01 * (len(one_by_one) + LIST_WEIGHT * len(lists))
    )
    if concurrency > 1:
        assert min(now for now, ask in run.asked if ask.kind is RequestKind.POLL) == START


def test_an_image_decided_while_its_batch_is_in_flight_keeps_its_outcome() -> None:
    """What was taken back is not found, nor failed, a second time."""
    group = tuple(targets(*IDS[:3]))
    cycle = Cycle(
        group, CycleHistory(immediate=frozenset(IDS)), PACE, START, lambda: 0.5, groups=[group]
    )
    ask = cycle.next(START)
    assert isinstance(ask, PollRequest)
    cycle.retract(IDS[0])
    cycle.heard(ask, listing(*map(found, IDS[:3])).reply(ask.kind, START), START + 1)
    words = [word(verdict.outcome) for verdict in cycle.verdicts]
    assert words == ["malformed", "found", "found"]
    assert cycle.stats.polls == 3


# The memory of what lists do


def test_a_list_that_works_is_of_use_whatever_fails_later() -> None:
    """Refusals of lists of one image count only where no list was given."""
    batches = BatchPlanner(())
    one, many = tuple(targets(IDS[0])), tuple(targets(*IDS))
    batches.after_page(PollRequest(RequestKind.BATCH, many), (), None)
    for _ in range(PROBE_FAILURES_BEFORE_FALLBACK + 1):
        batches.after_refusal(PollRequest(RequestKind.BATCH, one), one, failed("rejected"))
    assert not batches.useless(False)
    assert not batches.useless(True)


def test_few_images_are_asked_for_one_by_one() -> None:
    """A list of two that fails is followed by no shorter list."""
    few = tuple(targets(*IDS[:MIN_LIST_SIZE]))
    assert BatchPlanner(()).fewer(few, False, failed("rejected")) == one_by_one(few)


# Whatever is replied

READINGS = st.sampled_from(["found", "found", "malformed", "absent", "absent"])
FAILURES: st.SearchStrategy[Reason] = st.sampled_from(
    [
        "connection",
        "timeout",
        "server_error",
        "rate_limited",
        "forbidden",
        "unconfirmed",
        "internal",
    ]
)
SECONDS = st.one_of(st.just(0.01), st.floats(0.0, 30.0), st.just(1000.0))
GROUPED = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@st.composite
def batch_replies(draw: st.DrawFn, ask: PollRequest) -> Says:
    """Any reply to a list."""
    seconds = draw(SECONDS)
    match draw(st.sampled_from(["listed", "listed", "listed", "failed", "splits"])):
        case "failed":
            return Says(failed(draw(FAILURES)), seconds, wait=draw(st.sampled_from([None, 5.0])))
        case "splits":
            return replace(draw(st.sampled_from([REFUSED, UNREADABLE])), seconds=seconds)
    says = [(target.image_id, draw(READINGS)) for target in ask.targets]
    readings = [
        found(each) if what == "found" else Failed("malformed", each)
        for each, what in says
        if what != "absent"
    ]
    page = listing(*readings, next_path=draw(st.sampled_from([None, None, "one", "two"])))
    return replace(page, seconds=seconds)


@settings(max_examples=300, deadline=None)
@given(st.data(), GROUPED, st.booleans(), st.booleans())
def test_whatever_lists_reply_the_rules_hold(
    data: st.DataObject, lengths: list[int], breaker_open: bool, suspected: bool
) -> None:
    """One outcome each, gone only by 404 twice and a proof after, a bound on requests, an end."""
    ids = [f"image-{number}" for number in range(sum(lengths))]
    left = list(ids)
    groups = [tuple(left.pop(0) for _ in range(length)) for length in lengths]
    living = frozenset(data.draw(st.sets(st.sampled_from(ids))))
    past = CycleHistory(existing=living, breaker_open=breaker_open, suspect_mass_404=suspected)

    def answers(ask: PollRequest, _: float) -> Says:
        if ask.kind is RequestKind.BATCH:
            return data.draw(batch_replies(ask))
        what = data.draw(st.sampled_from(["found", "missing", "missing", "failed"]))
        seconds = data.draw(SECONDS)
        if what == "failed":
            return Says(failed(data.draw(FAILURES)), seconds)
        if not image_id_of(ask) or ask.kind is RequestKind.LIST:
            return Says(None if what == "found" else failed("server_error"), seconds)
        return Says(found(image_id_of(ask)) if what == "found" else MISSING, seconds)

    run = together(answers, past=past, batches=groups, pace=CyclePacing(60.0, 10.0, 3), random=0.3)
    assert sorted(verdict.target.image_id for verdict, _ in run.verdicts) == sorted(ids)
    assert run.cycle.stats.polls == len(ids)
    assert run.now <= run.end
    for verdict, count in run.verdicts:
        image_id = verdict.target.image_id
        if run.words[image_id] == "gone":
            check_gone(run, count, image_id, past)
    for image_id in ids:
        assert run.kinds(RequestKind.POLL).count(image_id) <= 1 + RETRIES
        assert run.kinds(RequestKind.CONFIRM).count(image_id) <= 1 + RETRIES
    most = 2 * len(ids) + len(groups)
    assert len(asks_of(run, RequestKind.BATCH)) <= (1 + RETRIES) * (most + 2 * most * MAX_PAGES)


def check_gone(run: Rehearsal, count: int, image_id: str, past: CycleHistory) -> None:
    """The rules of a disappearance, checked from what was heard before it was decided."""
    heard = run.heard[:count]
    of_it = [h for h in heard if image_id_of(h.ask) == image_id]
    polls = [h for h in of_it if h.ask.kind is RequestKind.POLL and h.reading == MISSING]
    again = [
        h.reply.request.received_at
        for h in of_it
        if h.ask.kind is RequestKind.CONFIRM
        and h.reading == MISSING
        and any(poll.reply.request.received_at <= h.reply.request.sent_at for poll in polls)
    ]
    lives = {
        each for h in heard for each, reading in (h.batch.readings if h.batch else {}).items()
    } | {
        image_id_of(h.ask)
        for h in heard
        if h.ask.kind is not RequestKind.BATCH and h.reading != MISSING
    }
    proofs = [h.reply.request.sent_at for h in heard if h.is_list or h.reply.request.accepted]
    assert any(proof >= confirmed for proof in proofs for confirmed in again)
    if len(past.existing) > 1 and not past.suspect_mass_404:
        failures = {
            target.image_id
            for h in heard
            if isinstance(h.reading, Failed)
            for target in h.ask.targets_to_fail
        }
        assert past.existing & (lives | failures), "all at once, for the first time"
