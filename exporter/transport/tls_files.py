"""CA bundles and client certificates of HTTPS connections, checked before the first request."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Verification and client certificate, in the form that requests accepts.

    Attributes:
        verify: True to verify the server's certificate, or the path of the CA bundle for it.
        cert: A file with certificate and key, or one file of each.
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None


class TlsFileError(Exception):
    """A file that TLS cannot use: one line that names the file and the reason."""


def read_tls_files(tls: ClientTls) -> tuple[tuple[str, bytes], ...]:
    """Return the names and contents of the files that secure a connection.

    Raises:
        TlsFileError: A file is missing, unreadable or invalid, so that every request would fail.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    names: list[str] = []
    if isinstance(tls.verify, str):
        names += _load_ca_bundle(context, tls.verify)
    if tls.cert:
        names += _load_client_certificate(context, tls.cert)
    return tuple((name, _content(Path(name))) for name in names)


def _load_ca_bundle(context: ssl.SSLContext, path: str) -> list[str]:
    bundle, folder = (None, path) if Path(path).is_dir() else (path, None)
    sources = "of clouds.yaml, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
    with _as_tls_file_error(f"CA bundle {path} ({sources})"):
        context.load_verify_locations(bundle, folder)
        return [path] if folder is None else sorted(map(str, Path(folder).iterdir()))


def _load_client_certificate(context: ssl.SSLContext, cert: str | tuple[str, str]) -> list[str]:
    certificate, key = (cert, None) if isinstance(cert, str) else cert
    with _as_tls_file_error(f"client certificate {certificate}"):
        # Without this argument, OpenSSL would prompt for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password="")
    return [certificate, key or certificate]


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@contextmanager
def _as_tls_file_error(description: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TlsFileError(f"{description} cannot be used: {error.strerror}") from None
