"""Server-side TLS contexts.

Python's ssl loads certificates and keys only from named files. Therefore each file is read once and
passed to ssl as an anonymous memory file: ssl uses exactly the content that was compared at a
reload, and an inline key is never written to disk.
"""

import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

VERSIONS: Mapping[str, ssl.TLSVersion] = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}

NO_CERTIFICATE = "PEER_DID_NOT_RETURN_A_CERTIFICATE"
"""OpenSSL's reason for an error of a client without a certificate."""


class TlsError(Exception):
    """A TLS option cannot be used; ``option`` is the attribute of `TlsOptions`."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(problem)
        self.option = option


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Options of a TLS context. Certificates and keys are PEM, names are OpenSSL's.

    Attributes:
        cert: The server's certificate chain.
        key: Its private key, without a password.
        client_ca: CA of client certificates; None for those of the system.
        client_auth: Client certificates are required, optional or not requested.
        allowed_sans: A client certificate must contain one of these names; None for no check.
        min_version: Oldest protocol version, a key of ``VERSIONS``.
        max_version: Newest protocol version.
        ciphers: Cipher suites of TLS 1.2; empty for OpenSSL's default.
        prefer_server_ciphers: True if the server's order of ciphers has precedence.
        curve: Curve of the key exchange; None for OpenSSL's default.
    """

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    allowed_sans: frozenset[str] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: Sequence[str] = ()
    prefer_server_ciphers: bool = True
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A TLS context, and the options that it was created from."""

    context: ssl.SSLContext
    options: TlsOptions = field(repr=False)

    def accepts_client(self, certificate: Mapping[str, object] | None) -> bool:
        """Return True if ``allowed_sans`` accepts a certificate from ``getpeercert``."""
        allowed = self.options.allowed_sans
        return allowed is None or not allowed.isdisjoint(_subject_alt_names(certificate or {}))

    def refusal_reason(self, error: BaseException) -> str | None:
        """Return why a client certificate made a handshake fail; None if it failed otherwise."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        is_missing = isinstance(error, ssl.SSLError) and error.reason == NO_CERTIFICATE
        return "the client has none" if is_missing else None


def create_server_tls(options: TlsOptions) -> ServerTls:
    """Create a TLS context.

    Raises:
        TlsError: An option cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[options.min_version]
    context.maximum_version = VERSIONS[options.max_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not options.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _set_ciphers(context, options.ciphers)
    if options.curve is not None:
        try:
            context.set_ecdh_curve(options.curve)
        except (ValueError, ssl.SSLError):
            raise TlsError("curve", f"OpenSSL does not support {options.curve}") from None
    _load_certificate(context, options)
    context.verify_mode = options.client_auth
    if options.client_ca is None and options.client_auth is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if options.client_ca is not None:
        try:
            context.load_verify_locations(cadata=_ascii(options.client_ca))
        except (ssl.SSLError, ValueError):
            raise TlsError("client_ca", "does not contain a readable certificate") from None
    return ServerTls(context, options)


def _load_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    try:
        with _memory_file(options.cert) as cert, _memory_file(options.key) as key:
            # Without this argument, OpenSSL would prompt for the password of an encrypted key.
            context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("key", "does not match the certificate") from None
        # OpenSSL does not report which of the two is wrong.
        certificate_only = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            certificate_only.load_verify_locations(cadata=_ascii(options.cert))
        except (ssl.SSLError, ValueError):
            raise TlsError("cert", "does not contain a readable certificate") from None
        problem = "does not contain a readable key; accepted: PEM without a password"
        raise TlsError("key", problem) from None


def _set_ciphers(context: ssl.SSLContext, ciphers: Sequence[str]) -> None:
    if not ciphers:
        return
    try:
        context.set_ciphers(":".join(ciphers))
    except ssl.SSLError:
        raise TlsError("ciphers", f"OpenSSL supports none of {', '.join(ciphers)}") from None
    missing = set(ciphers) - {cipher["name"] for cipher in context.get_ciphers()}
    if missing:
        raise TlsError("ciphers", f"OpenSSL does not support {', '.join(sorted(missing))}")


def _ascii(pem: bytes) -> str:
    """Return PEM in the form that OpenSSL accepts: comments may be in any language."""
    return pem.decode("ascii", "ignore")


@contextmanager
def _memory_file(content: bytes) -> Iterator[str]:
    """Provide a file name for the content, which stays in memory."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _subject_alt_names(certificate: Mapping[str, object]) -> Iterator[str]:
    """Yield the host names, addresses, e-mail addresses and URIs of a certificate."""
    names = certificate.get("subjectAltName", ())
    for kind, text in names if isinstance(names, tuple) else ():
        if kind in {"DNS", "email", "URI"}:
            yield text
        elif kind == "IP Address":
            # OpenSSL writes IPv6 addresses in full, and "<invalid>" for a wrong length.
            with suppress(ValueError):
                yield str(ipaddress.ip_address(text.strip()))
