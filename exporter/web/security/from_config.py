"""What a web configuration file asks for, read and made ready: all of it, or an error."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from exporter.clock import steady
from exporter.config import SettingsError
from exporter.config.web_config import (
    CIPHERS,
    CURVES,
    TlsServer,
    WebConfigFile,
    read_web_file,
    web_line,
)
from exporter.web.security.basic_auth import Users
from exporter.web.security.middleware import SecurityConfig, TokenBucket
from exporter.web.security.tls import ServerTls, TlsError, TlsOptions, make_tls

log = logging.getLogger(__name__)

LARGEST_PEM = 16 * 1024 * 1024

CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

KEYS = {
    "cert": "cert_file",
    "key": "key_file",
    "client_ca": "client_ca_file",
    "ciphers": "cipher_suites",
    "curve": "curve_preferences",
}
"""Where what a context cannot be made of is written, unless as PEM in the file itself."""


def protect(
    path: Path | None,
    hide: Callable[[str], object] = lambda _: None,
    *,
    may_be_empty: bool = True,
) -> SecurityConfig:
    """What the file asks for, with the files that it names; without one, nothing.

    ``hide`` is called with each secret in it. Raises ``SettingsError``, also for an empty file
    unless it may be.
    """
    if path is None:
        return SecurityConfig()
    file = read_web_file(path, may_be_empty=may_be_empty)
    for secret in (*file.basic_auth_users.values(), file.tls_server_config.key):
        if secret is not None:
            hide(secret.get_secret_value())
    tls = _tls(path, file.tls_server_config)
    if file.asks_for_http2:
        fields = {"file": str(path), "key": "http_server_config.http2"}
        log.warning("HTTP/2 is not spoken, HTTP/1.1 is", extra={"fields": fields})
    return SecurityConfig(
        tls=tls,
        users=Users(
            {user: known.get_secret_value() for user, known in file.basic_auth_users.items()}
        ),
        headers=tuple(
            (name, value) for name, value in file.http_server_config.headers.items() if value
        ),
        bucket=_bucket(file),
    )


def files_of(path: Path | None) -> tuple[Path, ...]:
    """The file and those that it names, as far as that can be told."""
    if path is None:
        return ()
    try:
        tls = read_web_file(path).tls_server_config
    except SettingsError:
        return (path,)
    named = (tls.cert_file, tls.key_file, tls.client_ca_file)
    return (path, *(path.parent / each for each in named if each is not None))


def _tls(path: Path, tls: TlsServer) -> ServerTls | None:
    if not tls.is_enabled:
        return None
    pems = {what: _pem(path, tls, what) for what in ("cert", "key", "client_ca")}
    sans = tls.client_allowed_sans
    options = TlsOptions(
        cert=pems["cert"] or b"",
        key=pems["key"] or b"",
        client_ca=pems["client_ca"],
        client_auth=CLIENT_AUTH[tls.client_auth_type],
        allowed_sans=None if sans is None else frozenset(sans),
        min_version=tls.min_version,
        max_version=tls.max_version,
        ciphers=tuple(CIPHERS[each] for each in tls.cipher_suites),
        prefer_own_order=tls.prefer_server_cipher_suites,
        curve=CURVES[tls.curve_preferences[0]] if tls.curve_preferences else None,
    )
    try:
        return make_tls(options)
    except TlsError as error:
        is_inline = getattr(tls, error.what, None) is not None
        key = error.what if is_inline else KEYS[error.what]
        name = None if is_inline else getattr(tls, key, None)
        shown = f"{path.parent / name} " if isinstance(name, Path) else ""
        raise SettingsError(web_line(path, ("tls_server_config", key), f"{shown}{error}")) from None


def _pem(path: Path, tls: TlsServer, what: str) -> bytes | None:
    inline, name = getattr(tls, what), getattr(tls, f"{what}_file")
    if inline is not None:
        found: str = inline.get_secret_value()
        return found.encode()
    if name is None:
        return None
    try:
        with (path.parent / name).open("rb") as file:
            content: bytes = file.read(LARGEST_PEM)
            return content
    except OSError as error:
        loc = ("tls_server_config", f"{what}_file")
        problem = f"{path.parent / name} cannot be read: {error.strerror}"
        raise SettingsError(web_line(path, loc, problem)) from None


def _bucket(file: WebConfigFile) -> TokenBucket | None:
    limit = file.rate_limit
    return TokenBucket(limit.interval, limit.burst, steady) if limit.interval else None
