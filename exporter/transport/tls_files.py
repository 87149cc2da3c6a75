"""CA bundles and client certificates of HTTPS connections, checked before the first request."""

import errno
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exporter.files import read_regular_file
from exporter.redaction import looks_like_path


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Verification and client certificate, in the form that requests accepts.

    Attributes:
        verify: True to verify the server's certificate, or the path of the CA bundle for it.
        cert: A file with certificate and key, or one file of each.
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, and the folder if the CA bundle is one."""
        bundle = (self.verify,) if isinstance(self.verify, str) else ()
        cert = (self.cert,) if isinstance(self.cert, str) else self.cert or ()
        return (*bundle, *cert)


MAX_PEM_BYTES = 16 * 1024 * 1024

CA_SOURCES = "of clouds.yaml, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"


class TlsFileError(Exception):
    """A file that TLS cannot use: one line that names the file and the reason."""


def check_is_path(description: str, value: str, *, may_be_secret: bool = False) -> None:
    """Check that a value can be the name of a file, rather than the content of one.

    Raises:
        TlsFileError: It may be a certificate, a key or another secret. The text does not repeat it.
    """
    # Unlike Path.exists(), this does not fail for a value that cannot be a path.
    if not os.path.exists(value) and not looks_like_path(value, may_be_secret=may_be_secret):
        raise TlsFileError(
            f"{description} names no file, and is not shown because it may be a secret, such as "
            "PEM text; accepted: the name of a file; write the text to a file and name that"
        )


def check_pem_file(path: str) -> None:
    """Check that OpenSSL can read a file: it waits for a FIFO, and searches all of a huge file.

    Raises:
        OSError: It is not a regular file, or has more than ``MAX_PEM_BYTES``.
    """
    # Some files of /proc have content without end, and no size.
    is_huge = os.stat(path).st_size > MAX_PEM_BYTES or (
        len(read_regular_file(Path(path), MAX_PEM_BYTES + 1)[0]) > MAX_PEM_BYTES
    )
    if is_huge:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_PEM_BYTES // 1024 // 1024} MiB")


def check_tls_files(tls: ClientTls) -> None:
    """Check the files again before a connection, which reads them: they may have been replaced.

    Raises:
        TlsFileError: A file cannot be read.
    """
    for path in tls.paths:
        if not os.path.isdir(path):
            with _as_tls_file_error(f"certificate file {path}"):
                check_pem_file(path)


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
    check_is_path(f"CA bundle ({CA_SOURCES})", path)
    bundle, folder = (None, path) if os.path.isdir(path) else (path, None)  # no error
    with _as_tls_file_error(f"CA bundle {path} ({CA_SOURCES})"):
        if folder is None:
            check_pem_file(path)
        context.load_verify_locations(bundle, folder)
        return [path] if folder is None else sorted(map(str, Path(folder).iterdir()))


def _load_client_certificate(context: ssl.SSLContext, cert: str | tuple[str, str]) -> list[str]:
    certificate, key = (cert, None) if isinstance(cert, str) else cert
    check_is_path("cert of clouds.yaml", certificate)
    check_is_path("key of clouds.yaml", key or certificate, may_be_secret=True)
    with _as_tls_file_error(f"client certificate {certificate}"):
        check_pem_file(certificate)
        check_pem_file(key or certificate)
        # Without this argument, OpenSSL would prompt for the password of an encrypted key.
        context.load_cert_chain(certificate, key, password="")
    return [certificate, key or certificate]


def _content(path: Path) -> bytes:
    """Return the content of a file, or nothing for a file of a CA folder that OpenSSL skips, too.

    These are folders, and files that may not be read.
    """
    try:
        return read_regular_file(path, MAX_PEM_BYTES)[0]
    except OSError:
        return b""


@contextmanager
def _as_tls_file_error(description: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TlsFileError(f"{description} cannot be used: {error.strerror}") from None
