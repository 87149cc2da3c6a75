"""Base URL of an endpoint, without API version."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

MAX_HOST = 260
"""Characters of a host with its port: a host name has at most 253."""

UNUSABLE = "an unusable URL"

_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)*", re.IGNORECASE)
_PROJECT_ID = re.compile(r"[0-9a-f]{32}")
_LAST_PROJECT = re.compile(
    rf"/(?:AUTH_|{_VERSION.pattern}/(?:AUTH_)?)([0-9a-f]{{32}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}"
    r"-[0-9a-f]{12})$",
    re.IGNORECASE,
)


def base_url(endpoint: str) -> str:
    """Return scheme, host, port and path prefix, without API version or trailing slash.

    Service catalogs and users write ``https://cloud:9292``, ``…/v2/``, ``…/v1.1`` or
    ``…/image/v2``. User, password, query and fragment are dropped.

    Raises:
        ValueError: The endpoint is not an http or https URL with a host. The text does not repeat
            it.
    """
    endpoint = endpoint.strip()
    if not endpoint.isprintable() or " " in endpoint:
        raise ValueError("an endpoint must not contain white space or control characters")
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an endpoint must be an http or https URL with a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    segments = parts.path.split("/")
    while segments and (not segments[-1] or _VERSION.fullmatch(segments[-1])):
        segments.pop()
    return f"{parts.scheme}://{host}{port}{'/'.join(segments)}"


class ServiceAddress(NamedTuple):
    """Address at which an endpoint serves its API.

    Attributes:
        base_url: Scheme, host, port and path prefix, as ``base_url`` returns them.
        project_segment: Path between version and resource, such as ``/`` and a project's ID, or
            an empty string.
    """

    base_url: str
    project_segment: str = ""

    def path(self, path: str) -> str:
        """Return a path of the API, such as ``/v2/images``, with the project's segment."""
        if not self.project_segment:
            return path
        version, slash, resource = path.removeprefix("/").partition("/")
        if not slash or not _VERSION.fullmatch(version):
            return path
        return f"/{version}{self.project_segment}/{resource}"


def service_address(endpoint: str, project_id: str) -> ServiceAddress:
    """Return the address of an endpoint, which may end in a version and the ID of the project.

    A gateway may serve such a URL from the catalog, ``…/v2/<project>``, and no other.

    Args:
        endpoint: A URL that ``base_url`` returned.
        project_id: Project of the token, or an empty string if it is unknown. Then a segment in
            Keystone's format is a project.
    """
    versioned, _, segment = endpoint.rpartition("/")
    is_project = segment == project_id if project_id else bool(_PROJECT_ID.fullmatch(segment))
    if not is_project or not urlsplit(versioned).netloc:
        return ServiceAddress(endpoint)
    base = base_url(versioned)
    return ServiceAddress(endpoint) if base == versioned else ServiceAddress(base, f"/{segment}")


def project_at_end(endpoint: str) -> str:
    """Return the project in whose ID an endpoint ends, after its version or ``AUTH_``, or nothing.

    The ID is in the format of Keystone.
    """
    match = _LAST_PROJECT.search(endpoint)
    return match[2].replace("-", "").lower() if match else ""


def without_default_port(url: str) -> str:
    """Return a URL of ``base_url`` without the port that its scheme implies.

    A gateway may select a virtual host by the exact Host header, which browsers and other clients
    send without that port (RFC 9110, section 4.2.3).
    """
    parts = urlsplit(url)
    if parts.port is None or parts.port != DEFAULT_PORTS.get(parts.scheme):
        return url
    return parts._replace(netloc=parts.netloc.rpartition(":")[0]).geturl()


def origin(location: str) -> str:
    """Return scheme, host and port of a ``Location``, or what else it is, for people.

    The rest of a URL may contain secrets or hostile text.
    """
    try:
        parts = urlsplit(location)
        if not parts.netloc:
            return UNUSABLE if parts.scheme or not location else "another path"
        # A location may leave out the scheme, which is then that of the request.
        url = parts._replace(scheme=parts.scheme or "https").geturl()
        host = urlsplit(base_url(url)).netloc
    except ValueError:
        return UNUSABLE
    return f"{parts.scheme}://{host}".removeprefix(":") if len(host) <= MAX_HOST else UNUSABLE
