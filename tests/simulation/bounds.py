"""Bounds that the oracle checks, and the classes of worlds that cannot keep them."""

from enum import Enum
from math import ceil, log

from exporter.polling.engine.contradictions import AFTER_CONTRADICTION, MAX_RECHECKS
from exporter.polling.engine.evidence_requests import MAX_ATTEMPTS
from exporter.polling.engine.pacing import MAX_RETRIES
from exporter.polling.engine.suspect import MAX_PROBES

MISS_PROBABILITY = 1e-6
"""Probability at which a change that is reported by chance counts as missed."""

EVIDENCE_CYCLES = 2
"""Cycles that the evidence may take after a contradiction: two in a row have to agree."""

MIN_PROBES = 3
"""Conclusive probes on which an image may be reported as gone.

Without rechecks the probability of a false one were 1/8 per poll at one bad server of two. The
table of ``probabilities`` shows what rechecks add.
"""

CONTRADICTION_MEMORY = 3600.0
"""Seconds after a contradiction in which two consecutive cycles have to agree on a 404."""

MAX_BAD_SHARE = 0.5
"""Share of lying backends up to which a poller can know which answers are right."""

MASS_IMAGES = 2
"""Number of existing images that may vanish at once only if a second cycle says the same."""

VANISH_CYCLES = 1
"""Additional cycles until all images that vanish at once are reported.

If the last existing images vanish in the middle of a cycle, that cycle may have found some of them,
so it is not one that finds all of them gone. It has no control for its other suspects either. So
the count begins with the next cycle. It begins again after a cycle that could not request
everything, because two cycles in a row have to agree.
"""

REQUESTS_PER_PROBE = 3
"""The control, the suspect and the control again."""

FIXED_REQUESTS = 10
"""Requests of a cycle that do not depend on its images: lists that prove that the API responds."""

REQUESTS_PER_IMAGE = 2 * (1 + MAX_RETRIES)
"""A poll of an image with its retries, and its share of lists that are refused and split."""

EVIDENCE_REQUESTS = 20
"""Requests for the evidence that an image is gone, on a healthy cloud."""

MAX_EVIDENCE_REQUESTS = (
    MAX_ATTEMPTS * (MAX_RECHECKS + AFTER_CONTRADICTION.probes)
    + (REQUESTS_PER_PROBE - 1) * MAX_PROBES
)
"""Requests for the evidence about one image in a cycle, while servers contradict each other: 672.

That many rechecks are only necessary after a run of 40 wrong responses, and if requests fail.
"""


class Excluded(Enum):
    """Reasons for which a bound cannot hold. An excluded violation is counted by its reason."""

    MAJORITY_LIES = "more servers lie than respond truly, so nothing shows which ones are right"
    STALE_SERVES_DELETED = (
        "a stale server still responds with an image that is gone, as if it had been shared again"
    )
    SHARED_UNCHANGED = (
        "an image that is shared again unchanged looks like one that a stale server still serves,"
        " so it stays gone while another server responds 404"
    )
    PINNED_TO_STALE = (
        "a keep-alive connection leads to a stale server, whose answers do not show their age"
    )
    RESONANCE = (
        "servers take turns and have no other clients, so equal cycles reach the same servers"
    )


def cycles_to_report(bad_share: float) -> int:
    """Return the complete cycles after which a change must be reported, by share of bad servers.

    Each cycle reaches a healthy server with a probability of at least ``1 - bad_share``.
    """
    if not 0.0 < bad_share < 1.0:
        return 0
    return EVIDENCE_CYCLES + ceil(log(MISS_PROBABILITY) / log(bad_share))
