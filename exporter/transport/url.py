"""The base URL of an Image service, whatever form its endpoint is written in."""

import re
from urllib.parse import urlsplit

_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)*", re.IGNORECASE)


def base_url(endpoint: str) -> str:
    """Scheme, host, port and path prefix of ``endpoint``: no version, no trailing slash.

    Catalogues and people write ``https://cloud:9292``, ``…/v2/``, ``…/v1.1`` or ``…/image/v2``
    alike. User and password, query and fragment are left out. Raises ``ValueError``, which does
    not repeat the endpoint, when it is no http or https URL with a host.
    """
    endpoint = endpoint.strip()
    if not endpoint.isprintable() or " " in endpoint:
        raise ValueError("an endpoint holds no white space and no control characters")
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an endpoint is an http or https URL with a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    segments = parts.path.split("/")
    while segments and (not segments[-1] or _VERSION.fullmatch(segments[-1])):
        segments.pop()
    return f"{parts.scheme}://{host}{port}{'/'.join(segments)}"
