"""Memory of what API v1 of an endpoint refuses, and of the images to request by v2 instead.

A gateway may serve v1 in part: single images without a list, all images except one whose headers
are too large for a proxy, or nothing at all although the version document lists v1. Where the same
endpoint offers v2, v2 is then the *second* version.
"""

from dataclasses import dataclass, field, replace
from math import inf

from exporter.glance.versions import V1
from exporter.model.api_traits import ApiName
from exporter.model.outcome import Failed, Found, NotFound, Reason
from exporter.model.replies import ImageReply, RequestFacts

SECOND: ApiName = "v2"
"""The second version. The first one is v1."""

MEMORY = 3600.0
"""Seconds for which a refusal, or an image of the second version, is remembered."""

MAX_FAILED_TRIES = 3
"""Failed requests by the second version per cycle, after which only known images use it."""

REFUSALS: frozenset[Reason] = frozenset(
    {"unauthorized", "forbidden", "api_version", "rejected", "malformed"}
)
"""Reasons of responses that may differ between the versions of an API that is not down."""

UNDELIVERABLE: frozenset[Reason] = frozenset({"server_error", "rejected"})
"""Reasons of a response about an image that a proxy cannot deliver: 502, 431 or 400."""


@dataclass(slots=True)
class SecondVersion:
    """Evidence about the first version; times are monotonic seconds.

    Attributes:
        refused_id: An image that the first version refused or did not have, empty if none.
        left_because: How the first version refused its requests when the second one became the
            version in use, or an empty string.
        has_first_worked: The first version has described an image or served a list before. Until
            then, it is left as a whole instead of image by image.
    """

    refused_id: str = ""
    left_because: str = ""
    has_first_worked: bool = False
    _images: dict[str, float] = field(default_factory=dict)
    _lists: dict[str, float] = field(default_factory=dict)
    _refusal: str = ""
    _refusal_of_list: str = ""
    _failed_tries: int = 0
    _problems: dict[str, str] = field(default_factory=dict)
    _is_found: bool = False
    _is_refused: bool = False
    _was_useless: bool = False
    _was_found: bool = False
    _distrusted_until: float = -inf

    def start_cycle(self) -> None:
        """Forget what counts for one cycle only."""
        self._was_useless = self.is_first_refused
        self._was_found = self._is_found
        self._is_found = self._is_refused = False
        self._failed_tries = 0
        self._problems.clear()

    def summary(self, now: float) -> str:
        """Return what the first version refuses, in one line; empty if nothing is known."""
        if self.left_because:
            return f"{V1.name}: refused ({self.left_because}), using {SECOND}"
        parts = []
        if not all(
            self.served_lists(paths, now) for paths in (V1.list_paths, V1.control_list_paths)
        ):
            refusal = self._refusal_of_list
            parts.append(f"lists refused ({refusal}), confirming deletions by {SECOND}")
        if count := sum(until >= now for until in tuple(self._images.values())):
            parts.append(f"images that it cannot deliver, polled by {SECOND}: {count}")
        return f"{V1.name}: {'; '.join(parts)}" if parts else ""

    # The first version as a whole

    @property
    def is_first_refused(self) -> bool:
        """Return True if the first version has only refused requests in this cycle."""
        return self._is_refused and not self._is_found

    @property
    def is_first_found_lately(self) -> bool:
        """Return True if the first version described an image in this cycle or the last one."""
        return self._is_found or self._was_found

    @property
    def is_first_useless(self) -> bool:
        """Return True if the first version only refused requests in the last cycle."""
        return self._was_useless

    def is_first_distrusted(self, now: float) -> bool:
        """Return True if another version was chosen lately, because the first was useless."""
        return now < self._distrusted_until

    def on_switch(self, now: float) -> None:
        """Record that the second version has become the version in use."""
        self._distrusted_until = now + MEMORY
        self.left_because = self._refusal
        self._was_useless = False
        self._images.clear()

    def on_list_reply(self, failure: Failed | None) -> None:
        """Record the reply to a list of the first version."""
        if failure is None:
            self._is_found = self.has_first_worked = True
        elif is_refusal(failure):
            self._is_refused = True
            self._refusal = failure.detail

    # Lists of the first version

    def served_lists(self, paths: tuple[str, ...], now: float) -> tuple[str, ...]:
        """Return the lists that were not refused lately."""
        return tuple(path for path in paths if self._lists.get(path, -inf) < now)

    def on_refused_list(self, path: str, refusal: Failed, now: float) -> None:
        """Remember that a list is refused."""
        self._refusal_of_list = refusal.detail
        self._lists[path] = now + MEMORY

    # Single images

    def has(self, image_id: str, now: float) -> bool:
        """Return True if the image is requested by the second version."""
        return self._images.get(image_id, -inf) >= now

    def add(self, image_id: str, now: float) -> None:
        """Request an image by the second version from now on, because that has found it."""
        self._images[image_id] = now + MEMORY

    def forget(self, image_id: str) -> None:
        """Request an image by the first version again."""
        self._images.pop(image_id, None)

    def on_reply(self, image_id: str, reply: ImageReply) -> None:
        """Record the reply of the first version to a request for an image."""
        if isinstance(reply.result, Found):
            self._is_found = self.has_first_worked = True
        elif isinstance(reply.result, NotFound) or is_refusal(reply.result):
            self._is_refused = True
            self.refused_id = image_id
            failed = reply.result
            self._refusal = failed.detail if isinstance(failed, Failed) else "HTTP 404"

    def may_deliver(self, image_id: str, reply: ImageReply) -> bool:
        """Return True if the second version may deliver what the first one could not."""
        if not isinstance(reply.result, Failed) or reply.result.reason not in UNDELIVERABLE:
            return False
        if not is_response(reply.facts) or image_id in self._problems:
            return False
        is_undelivered = reply.result.reason == "server_error" or self.has_first_worked
        return is_undelivered and self._failed_tries < MAX_FAILED_TRIES

    def on_try(self, image_id: str, reply: ImageReply, now: float) -> None:
        """Record the reply of the second version to a request that the first one failed."""
        if isinstance(reply.result, Found):
            self.add(image_id, now)
        else:
            self._failed_tries += 1
            failed = reply.result
            self._problems[image_id] = failed.detail if isinstance(failed, Failed) else "HTTP 404"

    def explained(self, image_id: str, reply: ImageReply) -> ImageReply:
        """Return a failure of the first version with that of the second one in its detail."""
        problem = self._problems.get(image_id)
        if problem is None or not isinstance(reply.result, Failed):
            return reply
        detail = f"{reply.result.detail}; by {SECOND}: {problem}"
        return replace(reply, result=replace(reply.result, detail=detail))


def is_refusal(failed: Failed) -> bool:
    """Return True if the API answered, and another version of it may answer differently."""
    return failed.reason in REFUSALS


def is_response(facts: RequestFacts) -> bool:
    """Return True if a reply may be followed by another request at once."""
    return facts.retry_after is None and not facts.failed_at_authentication
