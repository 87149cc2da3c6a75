"""Security of the web server, loaded from a web configuration file (``--web.config.file``)."""

import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from exporter.clock import steady
from exporter.config import SettingsError
from exporter.config.web_config import (
    CURVES,
    TlsServer,
    WebConfigFile,
    read_web_file,
    web_line,
)
from exporter.files import WatchedFiles, read_regular_file
from exporter.redaction import shown_file
from exporter.web.security.basic_auth import Users
from exporter.web.security.middleware import SecurityConfig
from exporter.web.security.rate_limit import TokenBucket
from exporter.web.security.tls import ServerTls, TlsError, TlsOptions, create_server_tls

log = logging.getLogger(__name__)

MAX_PEM_BYTES = 16 * 1024 * 1024

CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}

KEY_OF_OPTION = {
    "cert": "cert_file",
    "key": "key_file",
    "client_ca": "client_ca_file",
    "ciphers": "cipher_suites",
    "curve": "curve_preferences",
}
"""Key of the file that sets each TLS option, unless the option is inline PEM."""


@dataclass(frozen=True, slots=True)
class LoadedSecurity:
    """The security configuration, and the files that it was read from."""

    config: SecurityConfig = field(default_factory=SecurityConfig)
    files: tuple[Path, ...] = ()


def load_security(
    path: Path | None,
    redact: Callable[[str], object] = lambda _: None,
    *,
    watched: WatchedFiles | None = None,
    may_be_empty: bool = True,
) -> LoadedSecurity:
    """Load a web configuration file and the certificates that it names.

    Args:
        path: The file; without one, nothing is protected.
        redact: Called with each secret in the file, which must not be logged.
        watched: Each file is added to it before it is read, so that no change is missed.
        may_be_empty: True to accept an empty file.

    Raises:
        SettingsError: A file cannot be used.
    """
    if path is None:
        return LoadedSecurity()
    watched = WatchedFiles() if watched is None else watched
    watched.add([path])
    web_config = read_web_file(path, may_be_empty=may_be_empty)
    files = (path, *_certificate_files(path, web_config.tls_server_config))
    watched.add(files)
    for secret in _secrets(web_config):
        redact(secret)
    tls = _load_tls(path, web_config.tls_server_config)
    for key, difference in web_config.differences:
        log.warning(difference, extra={"fields": {"file": str(path), "key": key}})
    headers = web_config.http_server_config.headers
    users = web_config.basic_auth_users
    config = SecurityConfig(
        tls=tls,
        users=Users({user: password.get_secret_value() for user, password in users.items()}),
        headers=tuple((name, value) for name, value in headers.items() if value),
        rate_limit=_token_bucket(web_config),
    )
    return LoadedSecurity(config, files)


def _certificate_files(path: Path, tls: TlsServer) -> Iterator[Path]:
    for file in (tls.cert_file, tls.key_file, tls.client_ca_file):
        if file is not None:
            yield path.parent / file


def _secrets(web_config: WebConfigFile) -> Iterator[str]:
    for secret in (*web_config.basic_auth_users.values(), web_config.tls_server_config.key):
        if secret is not None:
            yield secret.get_secret_value()


def _load_tls(path: Path, tls: TlsServer) -> ServerTls | None:
    if not tls.is_enabled:
        return None
    sans = tls.client_allowed_sans
    options = TlsOptions(
        cert=_load_pem(path, tls, "cert") or b"",
        key=_load_pem(path, tls, "key") or b"",
        client_ca=_load_pem(path, tls, "client_ca"),
        client_auth=CLIENT_AUTH[tls.client_auth_type],
        allowed_sans=None if sans is None else frozenset(sans),
        # Without a suite of TLS 1.2, only TLS 1.3 can be spoken.
        min_version="TLS13" if tls.cipher_suites and not tls.ciphers else tls.min_version,
        max_version=tls.max_version,
        ciphers=tls.ciphers,
        prefer_server_ciphers=tls.prefer_server_cipher_suites,
        curve=CURVES[tls.curve_preferences[0]] if len(tls.curve_preferences) == 1 else None,
    )
    try:
        return create_server_tls(options)
    except TlsError as error:
        is_inline = getattr(tls, error.option, None) is not None
        key = error.option if is_inline else KEY_OF_OPTION[error.option]
        file = None if is_inline else getattr(tls, key, None)
        prefix = f"{_shown(path, file)} " if isinstance(file, Path) else ""
        loc = ("tls_server_config", key)
        raise SettingsError(web_line(path, loc, f"{prefix}{error}")) from None


def _load_pem(path: Path, tls: TlsServer, key: str) -> bytes | None:
    """Return the PEM that is inline as ``key``, or in the file named by ``key`` and ``_file``."""
    inline, file_name = getattr(tls, key), getattr(tls, f"{key}_file")
    if inline is not None:
        text: str = inline.get_secret_value()
        return text.encode()
    if file_name is None:
        return None
    try:
        content, _ = read_regular_file(path.parent / file_name, MAX_PEM_BYTES)
        return content
    except OSError as error:
        loc = ("tls_server_config", f"{key}_file")
        problem = f"{_shown(path, file_name)} cannot be read: {error.strerror}"
        raise SettingsError(web_line(path, loc, problem)) from None


def _shown(path: Path, file: Path) -> str:
    """Return the name of a file that the web configuration at ``path`` names, if it looks like one.

    Any of these settings may hold the key by mistake.
    """
    return shown_file(str(path.parent / file), str(file), may_be_secret=True)


def _token_bucket(web_config: WebConfigFile) -> TokenBucket | None:
    limit = web_config.rate_limit
    return TokenBucket(limit.interval, limit.burst or 1, steady) if limit.interval else None
