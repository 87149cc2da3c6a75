"""A day of an exporter with many images: most are fine, some have problems or change."""

import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from exporter.metrics.cloud_collector import CloudCollector
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import Exposition
from exporter.model.cloud import CloudState
from exporter.model.image import Image
from exporter.model.instant import Instant
from exporter.model.outcome import Failed, Found, Gone, Outcome
from exporter.model.target import Target
from exporter.store import Store
from tests.benchmarks.day_history import DAY
from tests.benchmarks.images import image_ids, realistic

MOMENTS = 48
"""Moments of the day at which images change."""
CLOUDS = {"frankfurt": 0.6, "munich": 0.35, "lab": 0.05}
"""Clouds, each with its share of the images."""
OUTAGE = ("munich", range(30, 32))
"""A cloud, and the moments at which its API is down."""
POLLING_INTERVAL = 60.0
MAX_STALE = 900.0
REQUESTS_PER_IMAGE = 0.014
"""Requests of a cycle by API v2."""
SYSTEMS = ("ubuntu-24.04", "debian-12", "rocky-9", "fcos-41", "windows-2022", "k8s-node-1.31")


PROCESS_START = re.compile(r"^process_start_time_seconds .*\n", re.MULTILINE)


class Problem(NamedTuple):
    """A problem of one of so many images: its status or outcome, and the alert that it causes."""

    one_of: int
    status: str = ""
    outcome: Outcome | None = None
    alert: str = ""


PROBLEMS = (
    Problem(100, outcome=Gone(), alert="OpenStackImageGone"),
    Problem(120, status="deactivated", alert="OpenStackImageDeactivated"),
    Problem(150, outcome=Failed("timeout"), alert="OpenStackImageDataStale"),
    Problem(400, status="queued", alert="OpenStackImageStuck"),
    Problem(900, status="saving"),
    Problem(1000, status="killed", alert="OpenStackImageKilled"),
)
CHANGING, EXPECTING, DISAPPOINTING = 50, 10, 200
"""One of so many images changes, has an expectation, and does not meet it."""


class CloudDay:
    """The exporter as it was in the day before ``end``, and as it is then.

    The metrics of the process are those of the benchmark.
    """

    def __init__(self, count: int, end: float) -> None:
        self._start, self._wall = end - DAY, end - DAY
        self._targets = [*_targets(count)]
        self._random = random.Random(1)
        self._problems = {n: found for n in range(count) if (found := self._problem(n))}
        self._changes = {
            n: self._random.randrange(MOMENTS)
            for n in range(count)
            if n % CHANGING == 0 and n not in self._problems
        }
        self._metrics = ExporterMetrics("1.0.0")
        self._metrics.record_load(self._wall)
        self._store = Store()
        self._metrics.registry.register(CloudCollector(self._store))
        for cloud in CLOUDS:
            self._metrics.add_cloud(cloud)
            targets = [target for target in self._targets if target.cloud == cloud]
            state = CloudState(cloud, POLLING_INTERVAL, len(targets), api_version="v2")
            self._store.add_cloud(state, targets)
        self._exposition = Exposition(
            self._store, self._metrics.registry, self._now, record_body=self._metrics.record_body
        )

    def moments(self) -> Iterator[tuple[int, str]]:
        """Yield the Unix time and the metrics at each moment of the day, and at its end."""
        for moment in range(MOMENTS + 1):
            self._wall = self._start + moment * DAY / MOMENTS
            self._poll_images(moment)
            self._end_cycles(moment)
            body = self._body()
            scraped = (
                f"up 1\nscrape_duration_seconds 0.6\nscrape_samples_scraped {_samples(body)}\n"
            )
            yield int(self._wall), body + scraped + "".join(self._alerts(moment))

    def body(self) -> bytes:
        """End a cycle of each cloud now, after the last moment, and return the metrics."""
        self._wall = time.time()
        self._end_cycles(MOMENTS + 1)
        return self._body().encode()

    def _now(self) -> Instant:
        return Instant(self._wall, self._wall)

    def _body(self) -> str:
        body = self._exposition.body(openmetrics=False, compressed=False)
        started = f"process_start_time_seconds {self._start - DAY}\n"
        return PROCESS_START.sub(started, b"".join(body).decode())

    def _problem(self, number: int) -> tuple[Problem, int] | None:
        """Return the problem of an image, and the moment at which it begins."""
        for place, problem in enumerate(PROBLEMS):
            if (number + 17 * place) % problem.one_of == 3:
                return problem, self._random.randrange(-MOMENTS, MOMENTS)
        return None

    def _poll_images(self, moment: int) -> None:
        cloud, outage = OUTAGE
        for number, target in enumerate(self._targets):
            is_down = target.cloud == cloud and moment in outage
            was_down = target.cloud == cloud and moment == outage.stop
            if is_down:
                self._observe(target, Failed("connection"))
            elif was_down or self._is_due(number, moment):
                self._observe(target, self._outcome(number, moment))

    def _is_due(self, number: int, moment: int) -> bool:
        """Return True if the image differs from the moment before."""
        changed = self._changes.get(number, 0)
        begins = max(self._problems[number][1], 1) if number in self._problems else 0
        return moment in (0, changed, changed + 1, begins)

    def _outcome(self, number: int, moment: int) -> Outcome:
        image = realistic(self._targets[number].image_id, number)
        problem, begins = self._problems.get(number, (None, 0))
        # The first poll finds every image, so that Prometheus sees a change.
        if problem is None or moment < max(begins, 1):
            return Found(self._changed(image, number, moment))
        return problem.outcome or Found(replace(image, status=problem.status))

    def _changed(self, image: Image, number: int, moment: int) -> Image:
        """Return the image after its change, of a kind that depends on its number."""
        changed = self._changes.get(number, MOMENTS + 1)
        if moment < changed:
            return image
        match number // CHANGING % 4:
            case 0:
                return replace(image, digests=(("md5", f"{number:032x}"),))
            case 1:
                return replace(image, protected=False)
            case 2:
                return replace(image, public=True)
        return replace(image, status="deactivated") if moment == changed else image

    def _observe(self, target: Target, outcome: Outcome) -> None:
        before, now = self._store.observation(target.key), self._now()
        if isinstance(outcome, Failed) and before.poll_success and before.image is not None:
            before = before.with_outcome(Found(before.image), now, MAX_STALE)
        # Images that do not change are not polled again, so their values must not expire.
        self._store.observe(target.key, before.with_outcome(outcome, now, 2 * DAY))

    def _end_cycles(self, moment: int) -> None:
        cloud_of_outage, outage = OUTAGE
        for state in self._store.clouds():
            is_up = state.name != cloud_of_outage or moment not in outage
            passed = self._wall - (state.last_cycle_at or self._wall - POLLING_INTERVAL)
            polls = round(passed / POLLING_INTERVAL * state.targets)
            failures = dict(state.failures)
            failures["timeout"] = failures.get("timeout", 0) + polls // 150
            if not is_up:
                failures["connection"] = failures.get("connection", 0) + polls
            after = replace(
                state,
                api_up=is_up,
                polls=state.polls + polls,
                failures=failures,
                retries=state.retries + polls // 3000,
                last_cycle_at=self._wall,
                last_cycle_duration=0.4 + state.targets / 2000 * self._random.uniform(0.9, 1.1),
                cycle_lag=self._random.uniform(0, 0.05),
                concurrency_needed=1 + state.targets // 3000,
                clock_skew=0.0,
                token_expires_at=self._wall + 3600 - moment % 2 * 1800,
                authentications=1 + moment // 2,
            )
            self._replace(after)
            self._send(state.name, round(polls * REQUESTS_PER_IMAGE), "200" if is_up else "error")

    def _replace(self, state: CloudState) -> None:
        self._store.update_cloud(state.name, lambda _: state)

    def _send(self, cloud: str, requests: int, code: str) -> None:
        for _ in range(requests):
            seconds = self._random.lognormvariate(-2.5, 0.7)
            self._metrics.observe_request(cloud, "GET", code, seconds, "")

    def _alerts(self, moment: int) -> Iterator[str]:
        for number, (problem, begins) in self._problems.items():
            if problem.alert and moment >= max(begins, 1):
                cloud, image_id, image = self._targets[number].labels
                yield (
                    f'ALERTS{{alertname="{problem.alert}",alertstate="firing",severity="critical",'
                    f'cloud="{cloud}",image_id="{image_id}",image="{image}"}} 1\n'
                )


def _samples(body: str) -> int:
    return len(re.findall(r"^\w", body, re.MULTILINE))


def _targets(count: int) -> Iterator[Target]:
    clouds = [cloud for cloud, share in CLOUDS.items() for _ in range(round(count * share))]
    for number, image_id in enumerate(image_ids(count)):
        expect = (("protected", number % DISAPPOINTING != 1),)
        yield Target(
            clouds[min(number, len(clouds) - 1)],
            image_id,
            f"{SYSTEMS[number % len(SYSTEMS)]}-{number:05d}",
            expect=expect if number % EXPECTING == 1 else (),
            property_names=frozenset({"os_distro"}),
        )
