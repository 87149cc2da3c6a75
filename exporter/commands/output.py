"""What ``check`` found, as JSON for programs."""

import json
from collections import Counter
from collections.abc import Sequence

from exporter.model.expectations.checks import CheckResult, evaluate
from exporter.model.expectations.format import to_json
from exporter.model.instant import Instant
from exporter.model.observation import Observation
from exporter.model.status import state_of
from exporter.model.target import Target

MET = {True: "met", False: "not_met", None: "not_judged"}
"""How many of each there are stands under these names."""


def report(
    rows: Sequence[tuple[Target, Observation, bool]], problems: Sequence[str], now: Instant
) -> str:
    """All that is known of the images, each with whether it is as expected, in one document.

    ``problems`` are those of discovery. The text is ASCII, so that no name can bend a terminal.
    """
    images = [_image(target, seen, is_right, now) for target, seen, is_right in rows]
    counts = Counter(
        MET[each.met] for target, seen, _ in rows for each in evaluate(target.expect, seen, now)
    )
    document = {
        "as_expected": not problems and all(is_right for *_, is_right in rows),
        "expectations": {name: counts[name] for name in MET.values()},
        "problems": list(problems),
        "images": images,
    }
    return json.dumps(document, indent=2)


def _image(target: Target, seen: Observation, is_right: bool, now: Instant) -> dict[str, object]:
    failure = seen.failure
    return {
        "cloud": target.cloud,
        "image": target.alias,
        "image_id": target.image_id,
        "source": target.source,
        "as_expected": is_right,
        "exists": seen.exists,
        "state": state_of(seen),
        "name": None if seen.image is None else seen.image.name,
        "failure": None
        if failure is None
        else {"reason": failure.reason, "detail": failure.detail},
        "expectations": [_verdict(each) for each in evaluate(target.expect, seen, now)],
    }


def _verdict(verdict: CheckResult) -> dict[str, object]:
    return {
        "expectation": verdict.expectation,
        "expected": to_json(verdict.expected),
        "actual": to_json(verdict.actual),
        "met": verdict.met,
    }
