"""Controls of the probes of one cycle: images that should be found."""

from collections.abc import Collection, Iterable, Mapping
from math import inf

from exporter.model.contradiction import ContradictionKind
from exporter.model.outcome import Failed, Found, NotFound
from exporter.model.replies import ImageReply, Listed, ProbeReply
from exporter.model.target import Target
from exporter.polling.engine.contradictions import Contradictions
from exporter.polling.engine.pacing import TRANSIENT
from exporter.polling.engine.suspect import Unproved
from exporter.polling.engine.types import CycleHistory, PollRequest, RequestKind

MAX_LIST_FAILURES = 6
"""Failures of a list that never worked after which it is not used as a control in this cycle."""

MAX_MISSES = 3
"""404s in a row after which an image that was found is no control any more in this cycle."""

MAX_FAILURES_AMONG_SERVERS = 20
"""The same limit for a list that has worked in this cycle, and for an image while servers
contradict each other: half of them may fail each control, and a proof may need 80 of these."""


class Controls:
    """Chooses the control of each probe, in turn, from the best source that has one.

    1. Images that were found in this cycle.
    2. Images that existed before and were not polled yet, unless the last cycle suspected that all
       of them are gone.
    3. Images that the list of the service has.
    4. The list itself, if no image at all was found in this cycle. Otherwise it is only requested
       once, for the images that it has. In a wrong project each image is 404 and the list is empty,
       so the list itself is no control until a watched image was found.

    A list is no control while it has images that are 404 themselves. Single images may then be lost
    as a whole, by a policy or a gateway, and the list shows nothing about them. An image that was
    gone before may just have been created again after its poll, so it is requested as a control.
    """

    def __init__(
        self, history: CycleHistory, targets: Mapping[str, Target], contradictions: Contradictions
    ) -> None:
        self._history = history
        self._targets = targets
        self._contradictions = contradictions
        self._found: dict[str, None] = {}
        expected = frozenset() if history.mass_404_suspected else history.existing
        self._expected = dict.fromkeys(i for i in targets if i in expected)
        self._listed: dict[str, None] = {}
        self._rejected: set[str] = set()
        # The request ID of the last 404 of a control, and when it was received.
        self._last_404: dict[str, tuple[str, float]] = {}
        self._misses: dict[str, int] = {}
        self._to_check: list[str] = []
        self._under_check: set[str] = set()
        self._list_failures = 0
        self._is_list_seen = self._is_list_wrong = self._is_list_empty = False
        self.list_problem = ""
        # Images that the list had and that were 404 when they were requested.
        self._missing: set[str] = set()
        self.any_found = self.any_watched_found = False

    @property
    def has_image(self) -> bool:
        """Return True if an image can be the control."""
        return bool(self._found or self._expected or self._listed)

    @property
    def is_list_best(self) -> bool:
        """Return True if the list itself is the control, because no image can be one."""
        is_other_better = self.has_image or self.any_found
        return self._history.any_found and not (is_other_better or self._is_list_wrong)

    @property
    def is_list_next(self) -> bool:
        """Return True if a first list may name images that can be controls."""
        return not self.has_image and not self._is_list_seen

    @property
    def available(self) -> bool:
        """Return True if there is any control, an image or the list."""
        if self.has_image:
            return True
        is_list_useful = self.is_list_best or not (self._is_list_seen or self.are_checked)
        most = MAX_FAILURES_AMONG_SERVERS if self._is_list_seen else MAX_LIST_FAILURES
        return is_list_useful and self._list_failures < most

    @property
    def have_worked(self) -> bool:
        """Return True if an image was found, or the list was a control, in this cycle."""
        return self.any_found or (self._is_list_seen and self.is_list_best)

    @property
    def why_unavailable(self) -> Unproved:
        """Return the reason why there is no control."""
        if self._is_list_wrong or self._missing:
            return Unproved.NOT_SERVED
        if self._is_list_empty and not (self.any_found or self._history.any_found):
            return Unproved.EMPTY_LIST
        return Unproved.NO_PROOF

    @property
    def are_checked(self) -> bool:
        """Return True while an image may still turn out to be a control."""
        return bool(self._to_check or self._under_check)

    def next(self) -> str | None:
        """Return the image that is the next control, or None for the list of images."""
        for source in (self._found, self._expected, self._listed):
            if source:
                image_id = next(iter(source))
                # To the end, so that all of them are used in turn.
                del source[image_id]
                source[image_id] = None
                return image_id
        return None

    def on_found(self, image_id: str) -> None:
        """Record that an image was found in this cycle."""
        self.any_found = True
        self.any_watched_found = self.any_watched_found or image_id in self._targets
        self._expected.pop(image_id, None)
        self._listed.pop(image_id, None)
        self._found.setdefault(image_id)
        self._misses.pop(image_id, None)

    def on_probe_reply(
        self, request: PollRequest, reply: ProbeReply, suspects: Collection[str], now: float
    ) -> bool:
        """Take the results of the control of a probe; return True if an image was found."""
        is_found = False
        for result in (reply.before, reply.after):
            match result:
                case Found() as found:
                    is_found = True
                    self._on_found_again(str(request.control), found, reply.facts.sent_at, now)
                case NotFound(request_id):
                    self._on_404(str(request.control), request_id, now)
                case Listed(image_ids):
                    self._is_list_seen = True
                    self._is_list_wrong = not self._missing.union(suspects).isdisjoint(image_ids)
                    self._is_list_empty = not image_ids
                    self._list_failures = 0
                    self._add_listed(image_ids, suspects)
                case Failed() as failed:
                    self._on_failed(request.control, failed)
        return is_found

    def check_requests(self) -> list[tuple[int, PollRequest]]:
        """Return requests for the controls that were found and then 404, see ``Doubts``."""
        checks, self._to_check = self._to_check, []
        self._under_check.update(checks)
        return [
            (0, PollRequest(RequestKind.RECHECK, (self._target(image_id),), control=image_id))
            for image_id in checks
        ]

    def on_check_reply(self, image_id: str, reply: ImageReply, now: float) -> bool:
        """Take the reply to such a request; return True if the control is found again."""
        self.on_check_dropped(image_id)
        match reply.result:
            case Found() as found:
                self._on_found_again(image_id, found, reply.facts.sent_at, now)
            case NotFound(request_id):
                self._on_404(image_id, request_id, now)
        return isinstance(reply.result, Found)

    def on_check_dropped(self, image_id: str) -> None:
        """Record that such a request has its reply, or was cancelled."""
        self._under_check.discard(image_id)

    def remove(self, image_id: str) -> None:
        """Do not use an image as a control any more in this cycle, unless it is found again."""
        for source in (self._found, self._expected, self._listed):
            source.pop(image_id, None)
        self._rejected.add(image_id)

    def _on_found_again(self, image_id: str, found: Found, sent_at: float, now: float) -> None:
        """Record that a control was found; a contradiction if it was 404 before, and is unchanged.

        A request that was sent before the 404 was received may be older than a deletion.
        """
        id_of_404, received_at = self._last_404.get(image_id, ("", inf))
        if sent_at >= received_at:
            del self._last_404[image_id]
            if not self._history.has_changed_since(found.image, received_at):
                ids = (id_of_404, found.request_id)
                self._contradictions.record(image_id, ContradictionKind.NOT_FOUND, ids, now)
        if sent_at >= received_at or image_id not in self._last_404:
            self.on_found(image_id)
        elif image_id in self._misses:
            self._misses[image_id] = 0

    def _on_404(self, image_id: str, request_id: str, now: float) -> None:
        """Record that a control was 404: it was deleted, or a server does not know it.

        If it was found before, it is requested again. While servers contradict each other, it
        remains a control.
        """
        was_found = image_id in self._found or image_id in self._misses
        misses = self._misses.get(image_id, 0) + 1
        self._last_404[image_id] = (request_id, now)
        if image_id in self._listed:
            self._missing.add(image_id)
        is_distrusted = now <= self._contradictions.memory.until
        if not was_found or misses > (MAX_FAILURES_AMONG_SERVERS if is_distrusted else MAX_MISSES):
            self.remove(image_id)
            return
        self._misses[image_id] = misses
        if not is_distrusted:
            self.remove(image_id)
            self._to_check.append(image_id)

    def _target(self, image_id: str) -> Target:
        """Return the target of an image. A control may be an image that is not watched."""
        any_target = next(iter(self._targets.values()))
        return self._targets.get(image_id) or Target(any_target.cloud, image_id, image_id)

    def _on_failed(self, image_id: str | None, failed: Failed) -> None:
        """Record that the request for a control, or for the list if None, failed."""
        if image_id is None:
            self._list_failures += 1
            self.list_problem = f"the list of images: {failed.detail}"
        elif failed.reason not in TRANSIENT:
            self.remove(image_id)

    def _add_listed(self, image_ids: Iterable[str], suspects: Collection[str]) -> None:
        excluded = self._rejected.union(suspects) - self._history.gone
        for image_id in sorted(set(image_ids) - excluded - self._found.keys()):
            self._listed.setdefault(image_id)
