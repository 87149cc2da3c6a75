"""Request for the version document of an endpoint."""

from http import HTTPStatus

from exporter.glance.listing import parse_list
from exporter.glance.request_sender import RequestSender
from exporter.glance.versions import PROBED, VERSIONS_PATHS, parse_versions
from exporter.model.api_traits import ApiName
from exporter.model.outcome import Failed
from exporter.model.replies import Deadline, RequestFacts


def request_versions(
    sender: RequestSender, deadline: Deadline
) -> tuple[RequestFacts, frozenset[ApiName]]:
    """Return the facts of the last request, and the versions that the endpoint offers.

    An endpoint without a version document offers the probed version if its list responds, also if
    the list cannot be decompressed: polls then report that.
    """
    for path in VERSIONS_PATHS:
        facts, response = sender.get(path, deadline, warms_token=False)
        if isinstance(response, Failed):
            # The other paths would fail as well.
            return facts, frozenset()
        offered = parse_versions(response)
        if offered or facts.retry_after is not None:
            return facts, offered
    facts, response = sender.get(PROBED.list_path, deadline)
    if isinstance(response, Failed):
        return facts, frozenset()
    is_list = not isinstance(parse_list(response), Failed)
    is_unreadable = response.code == HTTPStatus.OK and bool(response.compressed)
    return facts, frozenset({PROBED.name}) if is_list or is_unreadable else frozenset()
