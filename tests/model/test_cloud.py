from dataclasses import fields, replace

import pytest

from exporter.model.cloud import (
    CLOUD_PROBLEMS,
    ClientTotals,
    CloudState,
    CycleSummary,
    cloud_problems,
    unresolved,
)
from exporter.model.outcome import Failed

NOW = 1_800_000_000.0
HEALTHY = CloudState(
    "lab",
    60.0,
    api_up=True,
    last_cycle_at=NOW - 10,
    next_cycle_at=NOW + 50,
    authentications=3,
    authentication_failures=2,
    discovery_interval=300.0,
    discovered_at=NOW - 100,
    resolved={"ubuntu": "an-id"},
    resolved_changes={"ubuntu": 3},
)


@pytest.mark.parametrize("cloud", [CloudState("lab", 60.0), HEALTHY])
def test_new_or_healthy_cloud_has_no_problem(cloud: CloudState) -> None:
    assert cloud_problems(cloud, NOW) == ()


FIELDS: dict[str, dict[str, object]] = {
    "api_down": {"api_up": False},
    "polling_late": {"next_cycle_at": NOW - 60.5},
    "mass_disappearance": {"mass_disappearance": True},
    "servers_disagree": {"contradicted_at": NOW - 3599},
    "sign_in_failing": {"auth_failure": Failed("unauthorized", "HTTP 401")},
    "breaker_open": {"breaker_open": True},
    "discovery_failing": {"discovery_failure": Failed("timeout")},
    "alias_unresolved": {"resolved": {}},
}


@pytest.mark.parametrize(("problem", "changed"), FIELDS.items())
def test_each_problem_is_detected(problem: str, changed: dict[str, object]) -> None:
    assert cloud_problems(replace(HEALTHY, **changed), NOW) == (problem,)  # type: ignore[arg-type]  # of the fields' types


def test_problems_are_ordered_worst_first() -> None:
    everything = {name: value for changed in FIELDS.values() for name, value in changed.items()}
    assert cloud_problems(replace(HEALTHY, **everything), NOW) == tuple(CLOUD_PROBLEMS)  # type: ignore[arg-type]  # as above


def test_cycle_late_by_less_than_an_interval_is_not_a_problem() -> None:
    assert cloud_problems(replace(HEALTHY, next_cycle_at=NOW - 59.5), NOW) == ()


def test_unresolved_alias_before_the_first_list_is_not_a_problem() -> None:
    waiting = replace(HEALTHY, resolved={}, discovered_at=None)
    assert unresolved(waiting) == ("ubuntu",)
    assert cloud_problems(waiting, NOW) == ()
    assert unresolved(HEALTHY) == ()


CYCLE = CycleSummary(
    polls=5,
    failures={"timeout": 1, "tls": 1},
    retries=2,
    found=3,
    requests=7,
    accepted=True,
    breaker_open=False,
    mass_disappearance=False,
    ended_at=NOW,
    duration=1.5,
    concurrency_needed=3.0,
)
CLIENT = ClientTotals(
    rate_limit_wait=4.0,
    authentications=2,
    authentication_failures=1,
    api_version="v2",
    clock_skew=0.5,
    token_expires_at=NOW + 3600,
    auth_failure=None,
)


def test_counters_add_up_over_cycles() -> None:
    new = CloudState("lab", 60.0)
    first = new.after_cycle(CYCLE, CLIENT, new)
    totals = replace(CLIENT, authentications=3, rate_limit_wait=9.0)
    second = first.after_cycle(replace(CYCLE, failures={"timeout": 2}), totals, new)
    assert (second.polls, second.retries) == (10, 4)
    assert second.failures == {"timeout": 3, "tls": 1}
    assert (second.authentications, second.authentication_failures) == (3, 1)
    assert second.rate_limit_wait == 9.0
    assert (second.last_cycle_at, second.last_cycle_duration) == (NOW, 1.5)


def test_counters_of_a_new_client_are_added_to_those_before_a_reload() -> None:
    inherited = replace(HEALTHY, rate_limit_wait=10.0)
    state = inherited.after_cycle(CYCLE, CLIENT, inherited)
    state = state.after_cycle(CYCLE, CLIENT, inherited)
    assert (state.authentications, state.authentication_failures) == (3 + 2, 2 + 1)
    assert state.rate_limit_wait == 14.0


@pytest.mark.parametrize("before", [None, True, False])
@pytest.mark.parametrize(
    ("accepted", "requests", "breaker_open", "expected"),
    [
        (True, 7, False, True),
        (False, 7, False, False),
        (True, 7, True, False),
        (False, 0, True, False),
        (False, 0, False, "as before"),
    ],
)
def test_api_is_up_if_it_accepted_the_credentials(
    before: bool | None,
    accepted: bool,
    requests: int,
    breaker_open: bool,
    expected: bool | str,
) -> None:
    """A cycle without requests, because of Retry-After of a 429, changes nothing."""
    cycle = replace(CYCLE, accepted=accepted, requests=requests, breaker_open=breaker_open)
    state = replace(HEALTHY, api_up=before)
    after = state.after_cycle(cycle, CLIENT, state)
    assert after.api_up is (before if expected == "as before" else expected)
    assert after.breaker_open is breaker_open


@pytest.mark.parametrize("before", [None, True, False])
@pytest.mark.parametrize(("accepted", "requests"), [(True, 7), (False, 7), (False, 0)])
def test_api_is_down_while_a_503_forbids_requests(
    before: bool | None, accepted: bool, requests: int
) -> None:
    """Responses from before the 503, in the same cycle, do not count."""
    cycle = replace(CYCLE, accepted=accepted, requests=requests, unavailable=True)
    state = replace(HEALTHY, api_up=before)
    assert state.after_cycle(cycle, CLIENT, state).api_up is False


def test_contradictions_add_up_and_the_last_one_is_dated() -> None:
    first = HEALTHY.with_contradictions(2, NOW - 60)
    assert (first.contradictions, first.contradicted_at) == (2, NOW - 60)
    second = first.with_contradictions(1, NOW)
    assert (second.contradictions, second.contradicted_at) == (3, NOW)


def test_cycle_without_contradictions_does_not_renew_their_time() -> None:
    state = HEALTHY.with_contradictions(1, NOW - 60)
    assert state.with_contradictions(0, NOW) == state


def test_servers_disagree_for_an_hour_after_the_last_contradiction() -> None:
    assert cloud_problems(HEALTHY.with_contradictions(1, NOW), NOW) == ("servers_disagree",)
    assert cloud_problems(HEALTHY.with_contradictions(1, NOW - 3600), NOW) == ()


def test_a_mass_disappearance_lasts_until_an_image_is_found() -> None:
    lost = HEALTHY.after_cycle(replace(CYCLE, mass_disappearance=True, found=0), CLIENT, HEALTHY)
    assert lost.mass_disappearance
    later = lost.after_cycle(replace(CYCLE, found=0), CLIENT, HEALTHY)
    assert later.mass_disappearance
    assert not later.after_cycle(CYCLE, CLIENT, HEALTHY).mass_disappearance


RESET_AT_A_RELOAD = {"breaker_open", "discovery_failure"}
FROM_THE_NEW_CONFIGURATION = {"interval", "discovery_interval", "resolved", "resolved_changes"}
CARRIED_OVER = {
    "name",
    "targets",
    "cut_images",
    "api_up",
    "mass_disappearance",
    "polls",
    "failures",
    "retries",
    "rate_limit_wait",
    "last_cycle_at",
    "last_cycle_duration",
    "next_cycle_at",
    "cycles_skipped",
    "cycle_lag",
    "concurrency_needed",
    "api_version",
    "clock_skew",
    "token_expires_at",
    "authentications",
    "authentication_failures",
    "auth_failure",
    "discovered_at",
    "contradictions",
    "contradicted_at",
    "capabilities",
}


def test_every_field_is_carried_over_or_reset_at_a_reload() -> None:
    """A new field of ``CloudState`` needs a decision here."""
    names = {field.name for field in fields(CloudState)}
    assert names == RESET_AT_A_RELOAD | FROM_THE_NEW_CONFIGURATION | CARRIED_OVER
    state = replace(
        HEALTHY.with_contradictions(3, NOW),
        breaker_open=True,
        discovery_failure=Failed("timeout"),
    )
    reconfigured = state.reconfigured(30.0, 600.0, ["ubuntu", "debian"])
    for name in CARRIED_OVER:
        assert getattr(reconfigured, name) == getattr(state, name), name
    for name in RESET_AT_A_RELOAD:
        assert getattr(reconfigured, name) == getattr(CloudState("lab", 60.0), name), name
    assert (reconfigured.interval, reconfigured.discovery_interval) == (30.0, 600.0)
    assert reconfigured.resolved == {"ubuntu": "an-id"}
    assert reconfigured.resolved_changes == {"ubuntu": 3, "debian": 0}


def test_discovery_that_was_removed_leaves_no_state_after_a_reload() -> None:
    reconfigured = HEALTHY.reconfigured(60.0, None, ())
    assert (reconfigured.discovered_at, reconfigured.resolved) == (None, {})
    assert reconfigured.resolved_changes == {}


OTHER_RESULTS: dict[str, object] = {
    "polls": 6,
    "failures": {},
    "retries": 3,
    "found": 0,
    "requests": 0,
    "accepted": False,
    "breaker_open": True,
    "mass_disappearance": True,
    "ended_at": NOW + 1,
    "duration": 2.5,
    "concurrency_needed": 4.0,
    "unavailable": True,
}
OTHER_TOTALS: dict[str, object] = {
    "rate_limit_wait": 5.0,
    "authentications": 3,
    "authentication_failures": 2,
    "api_version": "v1",
    "clock_skew": 1.5,
    "token_expires_at": NOW,
    "auth_failure": Failed("timeout", "no response in time"),
    "capabilities": "lists: refused with 403, polling images one by one",
}


def test_every_result_of_a_cycle_changes_the_state_after_it() -> None:
    """A result that is not used would be a metric that never changes."""
    before = replace(HEALTHY, api_up=False)
    expected = before.after_cycle(CYCLE, CLIENT, before)
    assert OTHER_RESULTS.keys() == {field.name for field in fields(CycleSummary)}
    for name, value in OTHER_RESULTS.items():
        lost = replace(before, mass_disappearance=name == "found")
        cycle = replace(CYCLE, **{name: value})  # type: ignore[arg-type]  # of the fields' types
        assert lost.after_cycle(cycle, CLIENT, before) != expected, name
    assert OTHER_TOTALS.keys() == {field.name for field in fields(ClientTotals)}
    for name, value in OTHER_TOTALS.items():
        client = replace(CLIENT, **{name: value})  # type: ignore[arg-type]  # as above
        assert before.after_cycle(CYCLE, client, before) != expected, name


def test_every_counter_of_a_client_continues_after_a_reload() -> None:
    """The counters are those that are never unknown."""
    inherited = replace(HEALTHY, rate_limit_wait=10.0)
    after = inherited.after_cycle(CYCLE, CLIENT, inherited)
    counters = [field.name for field in fields(ClientTotals) if "None" not in str(field.type)]
    assert counters == ["rate_limit_wait", "authentications", "authentication_failures"]
    for name in counters:
        assert getattr(after, name) == getattr(CLIENT, name) + getattr(inherited, name), name


def test_start_of_a_cycle_and_an_open_breaker_change_nothing_else() -> None:
    started = HEALTHY.with_cycle_started(2.5, 3, NOW + 60).with_cycle_started(0.0, 1, NOW + 120)
    assert started == replace(HEALTHY, cycle_lag=0.0, cycles_skipped=4, next_cycle_at=NOW + 120)
    assert HEALTHY.with_api_version("v2") == replace(HEALTHY, api_version="v2")
    assert HEALTHY.with_open_breaker() == replace(HEALTHY, api_up=False, breaker_open=True)
