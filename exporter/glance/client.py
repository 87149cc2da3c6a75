"""Client of one cloud's Image API: one method for each kind of request."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from math import inf
from typing import TypeVar

from exporter.auth.base import Authenticator
from exporter.clock import steady
from exporter.glance.capabilities import Capabilities
from exporter.glance.discovery_listing import parse_page
from exporter.glance.image_requests import ImageRequests, is_accepted, without_list
from exporter.glance.list_filters import ListFilters
from exporter.glance.list_requests import ListRequests
from exporter.glance.listing import PAGE_LIMIT
from exporter.glance.request_sender import RequestSender, Scope, ScopeChange
from exporter.glance.second_version import MEMORY, SecondVersion, is_refusal, is_response
from exporter.glance.version_document import request_versions
from exporter.glance.versions import (
    API_VERSIONS,
    INITIAL,
    V1,
    V2,
    ApiVersion,
    preferred_version,
)
from exporter.model.api_traits import ApiName, RequestedVersion
from exporter.model.outcome import Failed, Found
from exporter.model.replies import (
    BatchReply,
    Deadline,
    ImageReply,
    ListReply,
    PageReply,
    ProbeReply,
    RequestFacts,
)

Result = TypeVar("Result")


@dataclass(slots=True)
class ImageClient:
    """Client of one cloud's Image API; thread-safe. Failures are returned in replies, not raised.

    Attributes:
        sender: Sends the requests.
        properties: Names of the custom properties to keep, or ``None`` for all.
        requested_version: The configured API version, or ``auto``.
        version: The API version in use, or ``None`` until one has been chosen.
    """

    sender: RequestSender
    properties: frozenset[str] | None
    requested_version: RequestedVersion = "auto"
    version: ApiName | None = None
    _requests: ImageRequests = field(init=False)
    _lists: ListRequests = field(init=False)
    _memory: SecondVersion = field(init=False, default_factory=SecondVersion)
    _offered: frozenset[ApiName] = field(init=False, default=frozenset())
    _is_version_refused: bool = field(init=False, default=False)
    _scope: Scope | None = field(init=False, default=None)
    _advised_at: float = field(init=False, default=-inf)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Create what sends the requests of each version."""
        self._requests = ImageRequests(self.sender, self.properties)
        self._lists = ListRequests(self.sender)

    def image(
        self, image_id: str, deadline: Deadline, *, fresh: bool = False, tag: object = None
    ) -> ImageReply:
        """Request one image. ``fresh`` uses a new connection; see ``HttpRequest`` for ``tag``.

        An image whose response a proxy cannot deliver is requested by the second version, and so it
        is in later cycles if that has found it.
        """
        api, second = self._api, self._second
        send = partial(self._requests.image, fresh=fresh, tag=tag)
        if second is None:
            reply = self._observed(send(api, image_id, deadline))
            if api is V1:
                self._memory.on_reply(image_id, reply)
            return replace(reply, result=self._explained(reply.result, reply.facts, deadline))
        if self._memory.has(image_id, steady()):
            reply = send(second, image_id, deadline)
            if isinstance(reply.result, Found) or _may_pass(reply):
                return reply
            self._memory.forget(image_id)
        first = self._observed(send(api, image_id, deadline))
        self._memory.on_reply(image_id, first)
        if self._memory.may_deliver(image_id, first):
            reply = send(second, image_id, deadline)
            self._memory.on_try(image_id, reply, steady())
            if isinstance(reply.result, Found):
                return reply
        return self._memory.explained(image_id, first)

    def batch(
        self,
        image_ids: tuple[str, ...],
        deadline: Deadline,
        *,
        second: bool,
        page: str | None,
        fresh: bool = False,
    ) -> BatchReply:
        """Request many images together, by the first or the ``second`` list of ``ListFilters``.

        ``page`` is the path of a further page, as the previous reply named it, and ``fresh`` uses a
        new connection. If the service refuses a parameter, the list is requested again without it.
        """
        batches = self._api.batches
        if batches is None:
            failed = Failed("api_version", f"API {self._api.name} has no lists by ID")
            return BatchReply(RequestFacts(steady(), steady()), failed)
        filters = self.list_filters
        query_filters = filters.second_list if second else filters.first_list
        path = page or batches.path(image_ids, filters=query_filters, limit=PAGE_LIMIT)
        known = self.capabilities.refused
        facts, response = self._lists.get(path, deadline, fresh=fresh)
        if isinstance(response, Failed):
            return BatchReply(facts, response)
        is_bad_request = response.code == HTTPStatus.BAD_REQUEST
        if page is None and is_bad_request and self.capabilities.refused > known:
            return self.batch(image_ids, deadline, second=second, page=None, fresh=fresh)
        batch = batches.parse(response, image_ids, self.properties)
        if not isinstance(batch, Failed):
            return BatchReply(facts, batch, accepted=True)
        if batch.reason == "api_version":
            self._is_version_refused = True
        if response.code == HTTPStatus.NOT_FOUND:
            # A 404 for the list proves nothing, so report it as unconfirmed.
            batch = Failed("unconfirmed", "the list of images is 404", batch.request_id)
        accepted = is_accepted(response, batch)
        return BatchReply(facts, batch, accepted, batches.is_splittable(response))

    def list(self, deadline: Deadline) -> ListReply:
        """Request the list of images, as proof that the API responds to these credentials."""
        api, second = self._api, self._second
        if second is None:
            lists = self._requests.list(api.list_path, deadline)
            failure = self._explained(lists.failure, lists.facts, deadline)
            return replace(lists, failure=failure)
        reply: ListReply | None = None
        for path in self._memory.served_lists(api.list_paths, steady()):
            reply = self._requests.list(path, deadline)
            self._memory.on_list_reply(reply.failure)
            if reply.failure is None or not is_refusal(reply.failure):
                return reply
            self._memory.on_refused_list(path, reply.failure, steady())
        by_second = self._requests.list(second.list_path, deadline)
        return by_second if by_second.failure is None or reply is None else reply

    def probe(self, suspect_id: str, control_id: str | None, deadline: Deadline) -> ProbeReply:
        """Request a control, the suspect and the control again, see ``ImageRequests.probe``.

        ``control_id`` is the ID of an image, or None for a list of images. If the version in use
        serves no list, the second version is probed: its list and the suspect itself. Its list
        alone never confirms a 404 of the first version, which a gateway may have lost. Neither does
        a list after the endpoint or the project has changed in this cycle.
        """
        reply = self._probe(suspect_id, control_id, deadline)
        if control_id is None and any(self.sender.change_from(self._scope)):
            return without_list(reply, "the endpoint or the project of the token has changed")
        return reply

    def _probe(self, suspect_id: str, control_id: str | None, deadline: Deadline) -> ProbeReply:
        api, second = self._api, self._second
        probe = partial(self._requests.probe, suspect_id=suspect_id, deadline=deadline)
        if second is not None and control_id is not None and self._memory.has(control_id, steady()):
            reply = probe(second, control=control_id, is_list=False)
            return self._by_second_version(suspect_id, reply)
        if control_id is not None:
            return probe(api, control=control_id, is_list=False)
        if second is None or not self._memory.has_first_worked:
            reply = probe(api, control=api.control_list_path, is_list=True)
            return replace(reply, before=self._explained(reply.before, reply.facts, deadline))
        for path in self._memory.served_lists(api.control_list_paths, steady()):
            reply = probe(api, control=path, is_list=True)
            if not isinstance(reply.before, Failed) or not is_refusal(reply.before):
                return reply
            self._memory.on_refused_list(path, reply.before, steady())
        path = second.control_list_path
        reply = probe(second, control=path, is_list=True, needs_control=False)
        return self._by_second_version(suspect_id, reply)

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        """Request one page of a discovery listing, always from v2, whichever version is in use."""
        facts, response = self._lists.get(path, deadline)
        if isinstance(response, Failed):
            return PageReply(facts, response)
        return PageReply(facts, parse_page(response, properties))

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities of the endpoint, as far as refused requests have shown them."""
        return self._lists.capabilities

    @property
    def limitations(self) -> str:
        """Known limitations of the endpoint, in one line, which is empty without a limitation."""
        parts = (self._memory.summary(steady()), self.capabilities.summary)
        return "; ".join(filter(None, parts))

    @property
    def may_change_version(self) -> bool:
        """Return True if the next cycle tries the second version, because v1 is only refused."""
        return self._second is not None and self._memory.is_first_refused

    def split_into_batches(self, image_ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Return the IDs in batches for ``batch``; empty if the endpoint has no such requests."""
        batches, capabilities = self._api.batches, self.capabilities
        if batches is None or capabilities.lists_refused:
            return ()
        return batches.split(
            image_ids,
            prefix_length=self.sender.prefix_length,
            max_id_bytes=capabilities.max_id_bytes,
        )

    def learn_about_lists(self, refused_with: str, max_id_bytes: int | None) -> None:
        """Remember how lists were refused in a cycle, and the length of IDs that they accept."""
        self._lists.learn(refused_with, max_id_bytes)

    def choose_version(self, deadline: Deadline) -> RequestFacts | None:
        """Choose the API version if none is in use, or if the one in use was refused.

        The version in use is kept unless the service offers another one. A configured version needs
        no request. v1 is also left if it only refused requests in the last cycle, as it is where a
        gateway does not serve it although the version document lists it. Returns the facts of the
        last request, if there was one: the service may have sent ``Retry-After``.
        """
        facts = None
        if self.version is None or self._is_version_refused:
            facts = self._choose_offered(deadline)
        if facts is None or facts.retry_after is None:
            facts = self._leave_useless_version(deadline) or facts
        return facts

    def _choose_offered(self, deadline: Deadline) -> RequestFacts | None:
        """Choose the preferred one of the versions that the endpoint offers."""
        facts, version = None, preferred_version((), self.requested_version)
        if version is None:
            facts, offered = request_versions(self.sender, deadline)
            self._offered = offered or self._offered
            if self._memory.is_first_distrusted(steady()) and V2.name in offered:
                offered -= {V1.name}
            version = preferred_version(offered, self.requested_version)
        if version is not None:
            self._is_version_refused = False
            if self.version not in {None, version}:
                # Another release may have other capabilities.
                self._lists.capabilities = Capabilities()
            self.version = version
            if version == V1.name:
                self._memory.left_because = ""
        return facts

    def _leave_useless_version(self, deadline: Deadline) -> RequestFacts | None:
        """Use the second version if that responds and the first one refuses its lists as well."""
        api, second = self._api, self._second
        if second is None or not self._memory.is_first_useless:
            return None
        for path in api.list_paths:
            reply = self._requests.list(path, deadline)
            if reply.failure is None or not is_refusal(reply.failure):
                return reply.facts
        reply = self._requests.list(second.list_path, deadline)
        image_id, facts, responds = self._memory.refused_id, reply.facts, reply.failure is None
        if image_id and reply.failure is not None and is_refusal(reply.failure):
            image = self._requests.image(second, image_id, deadline)
            facts, responds = image.facts, isinstance(image.result, Found)
        if responds:
            self.version = second.name
            self._is_version_refused = False
            self._lists.capabilities = Capabilities()
            self._memory.on_switch(steady())
        return facts

    def take_over_from(self, other: "ImageClient") -> None:
        """Continue with what another client has learned, if both use the same endpoint.

        Called before the first request. Another API version is only used if both are configured to
        use the same one.
        """
        if not _share_endpoint(self.sender.authenticator, other.sender.authenticator):
            return
        self._lists.capabilities = other.capabilities
        self._memory, self._offered = other._memory, other._offered
        self._scope = other._scope or other.sender.first_scope
        if self.requested_version == other.requested_version:
            self.version = other.version

    def start_cycle(self) -> ScopeChange:
        """Prepare for the requests of a cycle; return how their scope has changed since the last.

        The client forgets what another endpoint had shown.
        """
        change = self.sender.change_from(self._scope)
        self._scope = self.sender.scope or self._scope
        if change.endpoint:
            self._lists.capabilities = Capabilities()
            self._memory = SecondVersion()
            self._is_version_refused = True
        self._lists.start_cycle()
        self._memory.start_cycle()
        self.sender.start_cycle()
        return change

    def end_cycle(self, grace: float) -> None:
        """Look for bytes that followed a response, on idle connections.

        v1 describes an image in headers, where the text of a tenant could forge the end of a
        response. The rest of it may arrive late, so wait ``grace`` seconds for it. v2 uses bodies
        of a known length, so check without waiting.
        """
        self.sender.check_idle(0.0 if self._api.responses_have_bodies else grace)

    def close(self) -> None:
        """Close every connection, including those with a request in flight."""
        self.sender.close()

    @property
    def list_filters(self) -> ListFilters:
        """The filters of lists that the service has not refused."""
        return self._lists.filters

    def _observed(self, reply: ImageReply) -> ImageReply:
        """Note what the reply to a request for an image shows about the version in use."""
        result = reply.result
        if isinstance(result, Failed) and result.reason == "api_version":
            self._is_version_refused = True
        elif isinstance(result, Found) and self.version is None:
            # No version document offers this version, but the service responds to it.
            self.version = self._api.name
        return reply

    def _explained(
        self, result: Result, facts: RequestFacts, deadline: Deadline
    ) -> Result | Failed:
        """Add to a refusal of v1 that only the configuration keeps v2 from being used.

        The version document is requested once an hour at most.
        """
        if self.requested_version != V1.name or self._memory.is_first_found_lately:
            return result
        if not isinstance(result, Failed) or not is_refusal(result) or not is_response(facts):
            return result
        with self._lock:
            if steady() > self._advised_at + MEMORY:
                self._advised_at = steady()
                _, self._offered = request_versions(self.sender, deadline)
        if V2.name not in self._offered:
            return result
        is_from_clouds_yaml = self.sender.authenticator.api == V1.name
        setting = "image_api_version: 1" if is_from_clouds_yaml else "api: v1"
        detail = f"{result.detail}; {setting} is set, but the service offers {V2.name}"
        return replace(result, detail=detail)

    def _by_second_version(self, suspect_id: str, reply: ProbeReply) -> ProbeReply:
        """Mark the reply to a probe by the second version, and remember an image that it found."""
        if isinstance(reply.suspect, Found):
            self._memory.add(suspect_id, steady())
        return replace(reply, by_second_version=True)

    @property
    def _second(self) -> ApiVersion | None:
        """The version for requests that v1 refuses, if v1 is in use and the endpoint offers it."""
        is_free = self.requested_version == "auto" and self.version == V1.name
        return V2 if is_free and V2.name in self._offered else None

    @property
    def _api(self) -> ApiVersion:
        return API_VERSIONS[self.version] if self.version else INITIAL


def _may_pass(reply: ImageReply) -> bool:
    """Return True for a failure that says nothing about the version it came by."""
    return isinstance(reply.result, Failed) and not is_refusal(reply.result)


def _share_endpoint(new: Authenticator, old: Authenticator) -> bool:
    """Return True if a new authenticator certainly leads to the endpoint of an old one."""
    if new.identity == old.identity:
        return True
    return new.endpoint is not None and new.endpoint == old.endpoint
