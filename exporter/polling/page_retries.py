"""Retries of the pages of a discovery listing, by the rules that apply to polls."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from exporter.clock import steady
from exporter.glance.capabilities import Capabilities
from exporter.glance.discovery_listing import PageClient
from exporter.glance.list_filters import ListFilters
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, PageReply
from exporter.polling.engine.pacing import MAX_RETRIES, TRANSIENT, retry_backoff


@dataclass(frozen=True, slots=True)
class RetryingPageClient:
    """Client of listings that requests a page again after a transient failure.

    Attributes:
        client: Sends the requests.
        random: Returns numbers from 0 to 1, for the backoff.
        stopped: Ends all waits once it is set.
    """

    client: PageClient
    random: Callable[[], float]
    stopped: threading.Event

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities of the endpoint."""
        return self.client.capabilities

    @property
    def list_filters(self) -> ListFilters:
        """The filters of lists that the service has not refused."""
        return self.client.list_filters

    def page(self, path: str, deadline: Deadline, properties: frozenset[str]) -> PageReply:
        """Request one page; after a transient failure, request it again while there is time."""
        reply = self.client.page(path, deadline, properties)
        for attempt in range(MAX_RETRIES):
            if not isinstance(reply.page, Failed) or reply.page.reason not in TRANSIENT:
                break
            now = steady()
            due = max(now + retry_backoff(attempt, self.random), reply.facts.retry_at or now)
            if due >= deadline.latest_start or self.stopped.wait(due - now):
                break
            reply = self.client.page(path, deadline, properties)
        return reply
