"""How connections are secured: a context made anew whenever a file changes.

Python's ssl takes certificates and keys from files only, and reads them by name. So that what was
looked at is what is used, and a key that was never in a file gets into none, they are read once
and handed on through memory that has a name.
"""

import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

VERSIONS: Mapping[str, ssl.TLSVersion] = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class TlsError(Exception):
    """What was given cannot be used; ``what`` is the attribute of `TlsOptions` it is about."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(problem)
        self.what = what


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What a context is made of; certificates and the key are PEM, names are OpenSSL's.

    ``client_auth`` says whether clients must have a certificate, may have one, or are not asked
    for one. ``allowed_sans`` are the names of which one has to be in it, unless it is ``None``.
    """

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    allowed_sans: frozenset[str] | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    ciphers: Sequence[str] = ()
    prefer_own_order: bool = True
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What connections are secured by, and what that was made of."""

    context: ssl.SSLContext
    options: TlsOptions = field(repr=False)

    def admits(self, certificate: Mapping[str, object] | None) -> bool:
        """Whether a client with this certificate, as ``getpeercert`` gives it, may come in."""
        allowed = self.options.allowed_sans
        return allowed is None or not allowed.isdisjoint(_names(certificate or {}))


def make_tls(options: TlsOptions) -> ServerTls:
    """What the options come to; raises ``TlsError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[options.min_version]
    context.maximum_version = VERSIONS[options.max_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not options.prefer_own_order:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    _set_ciphers(context, options.ciphers)
    if options.curve is not None:
        try:
            context.set_ecdh_curve(options.curve)
        except (ValueError, ssl.SSLError):
            raise TlsError("curve", f"OpenSSL does not do {options.curve}") from None
    _load(context, options)
    context.verify_mode = options.client_auth
    if options.client_ca is not None:
        try:
            context.load_verify_locations(cadata=_text(options.client_ca))
        except (ssl.SSLError, ValueError):
            raise TlsError("client_ca", "holds no certificate that can be read") from None
    return ServerTls(context, options)


def _load(context: ssl.SSLContext, options: TlsOptions) -> None:
    try:
        with _named(options.cert) as cert, _named(options.key) as key:
            # OpenSSL would ask for the password of a key; an empty one fails instead.
            context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("key", "is not the key of the certificate") from None
        # Which of the two it is about, OpenSSL does not say.
        alone = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            alone.load_verify_locations(cadata=_text(options.cert))
        except (ssl.SSLError, ValueError):
            raise TlsError("cert", "holds no certificate that can be read") from None
        problem = "holds no key that can be read; accepted: PEM without a password"
        raise TlsError("key", problem) from None


def _set_ciphers(context: ssl.SSLContext, ciphers: Sequence[str]) -> None:
    if not ciphers:
        return
    try:
        context.set_ciphers(":".join(ciphers))
    except ssl.SSLError:
        raise TlsError("ciphers", f"OpenSSL does none of {', '.join(ciphers)}") from None
    missing = set(ciphers) - {each["name"] for each in context.get_ciphers()}
    if missing:
        raise TlsError("ciphers", f"OpenSSL does not do {', '.join(sorted(missing))}")


def _text(pem: bytes) -> str:
    """PEM as OpenSSL takes it; what is written between certificates may be in any language."""
    return pem.decode("ascii", "ignore")


@contextmanager
def _named(content: bytes) -> Iterator[str]:
    """A name under which this content can be read until the block ends, in memory only."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _names(certificate: Mapping[str, object]) -> Iterator[str]:
    """The names in a certificate: of hosts, addresses, e-mail and URIs."""
    names = certificate.get("subjectAltName", ())
    for kind, text in names if isinstance(names, tuple) else ():
        if kind in {"DNS", "email", "URI"}:
            yield text
        elif kind == "IP Address":
            # OpenSSL writes out all of an IPv6 address.
            yield str(ipaddress.ip_address(text.strip()))
