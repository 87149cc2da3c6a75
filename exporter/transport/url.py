"""Base URL of an endpoint, without API version."""

import re
from urllib.parse import urlsplit

_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)*", re.IGNORECASE)


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
