"""Requests for lists, without the parameters that the service has refused."""

import threading
from dataclasses import dataclass, field
from http import HTTPStatus

from exporter.clock import steady
from exporter.glance.capabilities import Capabilities, parameters
from exporter.glance.list_filters import ListFilters, choose_filters, refused_visibility
from exporter.glance.request_sender import RequestSender
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, RequestFacts
from exporter.transport.http1 import Response
from exporter.transport.pool import HttpRequest

PLAIN_LIST = "/v2/images?limit=1"
"""A list without parameters that a service may lack: the control when parameters are tried."""


@dataclass(slots=True)
class ListRequests:
    """Sends requests for lists, and learns what the service refuses; thread-safe.

    Attributes:
        sender: Sends the requests.
        capabilities: Capabilities of the endpoint, as far as refused requests have shown them.
    """

    sender: RequestSender
    capabilities: Capabilities = field(default_factory=Capabilities)
    _is_plain_list_refused: bool = field(init=False, default=False)
    _trial: threading.Lock = field(init=False, default_factory=threading.Lock)

    @property
    def filters(self) -> ListFilters:
        """The filters of lists that the service has not refused."""
        return choose_filters(self.capabilities.refused_visibilities)

    def start_cycle(self) -> None:
        """Forget facts that are too old, and what counts for one cycle only."""
        self.capabilities = self.capabilities.at(steady())
        self._is_plain_list_refused = False

    def learn(self, refused_with: str, max_id_bytes: int | None) -> None:
        """Remember how lists were refused in a cycle, and the length of IDs that they accept."""
        if refused_with:
            self.capabilities = self.capabilities.with_lists_refused(refused_with, steady())
        elif max_id_bytes is not None:
            self.capabilities = self.capabilities.with_max_id_bytes(max_id_bytes, steady())

    def get(
        self, path: str, deadline: Deadline, *, fresh: bool = False
    ) -> tuple[RequestFacts, Response | Failed]:
        """Request a list without the parameters that the service has refused.

        After a 400, find out which other parameters it refuses; the caller requests it again.
        """
        path = self.capabilities.accepted_path(path)
        request = HttpRequest("GET", path, deadline.end, fresh_connection=fresh)
        facts, response = self.sender.send(request, deadline.latest_start)
        if isinstance(response, Response) and response.code == HTTPStatus.BAD_REQUEST:
            named = f"visibility={refused_visibility(response)}"
            with self._trial:
                if any(named == name for name, _ in parameters(path)):
                    self.capabilities = self.capabilities.with_refused(named, steady())
                else:
                    self._try_parameters(path, deadline)
        return facts, response

    def _try_parameters(self, path: str, deadline: Deadline) -> None:
        """Find out which parameters of a list that was refused with 400 are to blame.

        Each is tried by itself in a short list, after that list without it: the path may have been
        too long, or all lists may be refused.
        """
        untried = self.capabilities.untried(path)
        if not untried or self._is_plain_list_refused:
            return
        if self._code_of(PLAIN_LIST, deadline) != HTTPStatus.OK:
            self._is_plain_list_refused = True
            return
        for name, query in untried:
            match self._code_of(f"{PLAIN_LIST}&{query}", deadline):
                case HTTPStatus.BAD_REQUEST:
                    self.capabilities = self.capabilities.with_refused(name, steady())
                case HTTPStatus.OK:
                    self.capabilities = self.capabilities.with_accepted(name, steady())

    def _code_of(self, path: str, deadline: Deadline) -> int | None:
        """Return the status code of the response to a GET request, None without a response."""
        _, response = self.sender.get(path, deadline)
        return None if isinstance(response, Failed) else response.code
