"""The state of a target in a word, for people."""

from typing import Literal

from exporter.model.observation import Observation

Standing = Literal["good", "bad", "unknown"]

SOUND = frozenset({"active"})


def state(seen: Observation) -> tuple[str, Standing]:
    """What is known of a target, and whether that is good news.

    ``seen`` is to be an observation as it stands now, see ``Observation.at``.
    """
    if seen.exists is False:
        return "gone" if seen.image is None else seen.image.status, "bad"
    if seen.image is not None:
        return seen.image.status, "good" if seen.image.status in SOUND else "bad"
    return "not polled yet" if seen.polled_at is None else "unknown", "unknown"
