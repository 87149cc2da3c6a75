"""Certificate files of connections to clouds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Verification and client certificate, in the form that requests accepts.

    Attributes:
        verify: True to verify the server's certificate, or the path of the CA bundle for it.
        cert: A file with certificate and key, or one file of each.
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
