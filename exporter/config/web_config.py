"""Schema of the file of ``--web.config.file``, in the format of Prometheus' exporter-toolkit.

The format is documented in docs/web-configuration.md of prometheus/exporter-toolkit. All its keys
are accepted. A value that this server does not support is an error that names the key.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from exporter.config import types, yaml_reader
from exporter.config.load import config_error
from exporter.config.messages import (
    ConfigError,
    SettingsError,
    beginning,
    file_name,
    first_errors,
    first_lines,
    key_path,
    name,
    shown,
)

MOST_NODES = 50_000
"""Keys and values of the file, enough for 20,000 users."""

AUTH_TYPES = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
"""Policies of Go that Python lacks: they accept a certificate without verifying it."""

VERSIONS = ("TLS12", "TLS13")
OLD_VERSIONS = ("TLS10", "TLS11")

CIPHERS: Mapping[str, str] = {
    f"TLS_ECDHE_{key}_WITH_{cipher}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for cipher, openssl in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
"""The suites of TLS 1.2 that Go considers secure, with their names in OpenSSL."""

CIPHERS_OF_TLS13 = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)

CIPHERS_WITHOUT_FORWARD_SECRECY = (
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
)

CURVES: Mapping[str, str] = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
    "X25519MLKEM768": "X25519MLKEM768",
}
"""The curves, with their names in OpenSSL."""

HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""The headers that can be set, with the accepted values; without them, any text is accepted."""

# The last character of the salt has only two bits; bcrypt rejects all other characters there.
_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_HEADER_VALUE = re.compile(r"[ -~]*")


def _auth_type(value: object) -> str:
    if value == "":
        return AUTH_TYPES[0]
    if value in UNVERIFIED:
        raise types.refused(
            "is not supported: client certificates are always verified; "
            f"accepted: {', '.join(AUTH_TYPES)}"
        )
    return types.one_of(*AUTH_TYPES)(value)


def _version(value: object) -> str:
    if value in OLD_VERSIONS:
        raise types.refused(
            f"is not supported: too old for OpenSSL; accepted: {', '.join(VERSIONS)}"
        )
    return types.one_of(*VERSIONS)(value)


def _cipher(value: object) -> str:
    # Older releases of the toolkit accept the suites without forward secrecy.
    if value in CIPHERS_OF_TLS13 or value in CIPHERS_WITHOUT_FORWARD_SECRECY:
        return str(value)
    return types.one_of(*CIPHERS)(value)


def _headers(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise types.refused("is not a mapping; accepted: a mapping of headers to values")
    # YAML reads the value of X-XSS-Protection: 1 as a number.
    headers = {key: str(text) if type(text) is int else text for key, text in value.items()}
    for key, text in headers.items():
        if key not in HEADERS:
            accepted = ", ".join(HEADERS)
            raise types.hidden(f"{name(str(key))} cannot be set; accepted: {accepted}")
        accepted = ", ".join(HEADERS[key]) or "visible ASCII characters and spaces"
        if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise types.hidden(f"{key}: {shown(text)} is not accepted; accepted: {accepted}")
        if text and HEADERS[key] and text not in HEADERS[key]:
            raise types.hidden(f"{key}: {shown(text)} is not accepted; accepted: {accepted}")
    return headers


def _hash(value: object) -> SecretStr:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise types.hidden(
            "not a bcrypt hash (and not shown); accepted: what htpasswd -nBC 10 makes"
        )
    return SecretStr(value)


def _mapping(value: object) -> object:
    """Reject other values without showing them: they may be misplaced secrets."""
    if not isinstance(value, dict | BaseModel):
        raise types.hidden("not a mapping (and not shown); accepted: a mapping of keys to values")
    return value


def _users(value: object) -> object:
    for user in _mapping(value):  # type: ignore[attr-defined]  # a mapping
        # A line of htpasswd, or user and hash swapped: do not show the hash.
        before, colon, _ = user.partition(":")
        if colon:
            raise types.hidden(f"{name(before)}: no user can have a colon in the name")
        if _HASH.fullmatch(user):
            raise types.hidden(
                "a hash is not a user (and not shown); accepted: a hash for each user"
            )
    return value


def _pem(value: object) -> SecretStr:
    if not isinstance(value, str) or "-----BEGIN " not in value:
        raise types.hidden("not PEM (and not shown); accepted: text that begins with -----BEGIN")
    return SecretStr(value)


def _interval(value: object) -> float:
    return 0.0 if value in (0, "0", "0s") else types.duration(least=0.001)(value)


def _unset(value: object) -> object:
    """Return null for an empty value, as Go does."""
    return None if value == "" else value


def _not_pem(value: object) -> object:
    """Reject PEM, which may be a private key, without showing it."""
    if isinstance(value, str) and ("-----BEGIN " in value or "\n" in value):
        raise types.hidden("not the name of a file (and not shown); accepted: the name of a file")
    return _unset(value)


_Pem = Annotated[SecretStr, BeforeValidator(_pem)]
_MaybePem = Annotated[_Pem | None, BeforeValidator(_unset)]
_MaybeFile = Annotated[types.FileName | None, BeforeValidator(_not_pem)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsServer(_Model):
    """TLS of the server. Relative names of files start at the directory of the configuration."""

    cert: _MaybePem = Field(default=None, description="The certificate and its chain, as PEM.")
    key: _MaybePem = Field(default=None, description="The private key, as PEM.")
    client_ca: _MaybePem = Field(default=None, description="CA certificates for clients, as PEM.")
    cert_file: _MaybeFile = Field(default=None, description="File with the certificate.")
    key_file: _MaybeFile = Field(default=None, description="File with the private key.")
    client_ca_file: _MaybeFile = Field(
        default=None, description="File with the CA certificates for clients."
    )
    client_auth_type: Annotated[str, BeforeValidator(_auth_type)] = Field(
        default=AUTH_TYPES[0], description="Policy for certificates of clients."
    )
    client_allowed_sans: tuple[types.Label, ...] | None = Field(
        default=None, description="Names; the certificate of a client must have one of them."
    )
    min_version: Annotated[str, BeforeValidator(_version)] = Field(
        default="TLS12", description="Oldest supported version."
    )
    max_version: Annotated[str, BeforeValidator(_version)] = Field(
        default="TLS13", description="Newest supported version."
    )
    cipher_suites: tuple[Annotated[str, BeforeValidator(_cipher)], ...] = Field(
        default=(), description="Cipher suites of TLS 1.2."
    )
    prefer_server_cipher_suites: types.Flag = Field(
        default=True, description="Prefer the server's order of suites."
    )
    curve_preferences: tuple[Annotated[str, BeforeValidator(types.one_of(*CURVES))], ...] = Field(
        default=(), description="Curve of the key exchange; several have no effect."
    )

    @property
    def is_enabled(self) -> bool:
        """True if any key enables TLS, by the rule of the toolkit."""
        files = (self.cert_file, self.key_file, self.client_ca_file)
        values = (self.cert, self.key, self.client_ca, *files)
        return any(values) or "client_auth_type" in self.model_fields_set

    @property
    def ciphers(self) -> tuple[str, ...]:
        """The suites of TLS 1.2 to offer, as OpenSSL names them."""
        return tuple(CIPHERS[suite] for suite in self.cipher_suites if suite in CIPHERS)


class HttpServer(_Model):
    """HTTP options."""

    http2: types.Flag = Field(default=True, description="Allow HTTP/2.")
    headers: Annotated[dict[str, str], BeforeValidator(_headers)] = Field(
        default_factory=dict, description="Headers of every response."
    )


class RateLimit(_Model):
    """Rate limit of the requests of all clients together."""

    interval: Annotated[float, BeforeValidator(_interval)] = Field(
        default=0.0, description="Time between two requests; 0 for no limit."
    )
    burst: Annotated[int, BeforeValidator(types.whole_number(0, 1_000_000))] = Field(
        default=0, description="Number of requests that are admitted at once."
    )


class WebConfigFile(_Model):
    """The whole file."""

    tls_server_config: Annotated[TlsServer, BeforeValidator(_mapping)] = Field(
        default_factory=TlsServer, description="TLS."
    )
    http_server_config: Annotated[HttpServer, BeforeValidator(_mapping)] = Field(
        default_factory=HttpServer, description="HTTP."
    )
    basic_auth_users: Annotated[
        dict[str, Annotated[SecretStr, BeforeValidator(_hash)]], BeforeValidator(_users)
    ] = Field(default_factory=dict, description="Users with the bcrypt hashes of their passwords.")
    rate_limit: Annotated[RateLimit, BeforeValidator(_mapping)] = Field(
        default_factory=RateLimit, description="Rate limit."
    )

    @property
    def differences(self) -> Iterator[tuple[str, str]]:
        """Each key that works differently than in the toolkit, with how it works here."""
        tls = self.tls_server_config
        if self.enables_http2:
            yield "http_server_config.http2", "http2 is not supported, serving HTTP/1.1"
        if len(tls.curve_preferences) > 1:
            problem = "several curves cannot be selected, offering those of OpenSSL"
            yield "tls_server_config.curve_preferences", problem
        if any(suite in CIPHERS_WITHOUT_FORWARD_SECRECY for suite in tls.cipher_suites):
            problem = "suites without forward secrecy are not offered"
            yield "tls_server_config.cipher_suites", problem
        has_ca = tls.client_ca or tls.client_ca_file
        if tls.client_auth_type == AUTH_TYPES[1] and not has_ca:
            problem = "client certificates are verified by the authorities of the system"
            yield "tls_server_config.client_ca_file", problem
        if self.rate_limit.interval and not self.rate_limit.burst:
            yield "rate_limit.burst", "burst is missing, admitting one request at once"

    @property
    def enables_http2(self) -> bool:
        """True if the file enables HTTP/2 explicitly."""
        return self.http_server_config.http2 and "http2" in self.http_server_config.model_fields_set


def read_web_file(path: Path, *, may_be_empty: bool = True) -> WebConfigFile:
    """Read the file, without the files that it names. An empty file has no effect.

    Args:
        path: The file.
        may_be_empty: If false, an empty file is an error.

    Raises:
        SettingsError: With every error in the file.
    """
    try:
        document = yaml_reader.read_file(path, MOST_NODES)
    except yaml_reader.EmptyError:
        if may_be_empty:
            return WebConfigFile()
        raise SettingsError(
            f"{file_name(str(path))}: is empty; accepted: {{}} to remove the web configuration"
        ) from None
    except yaml_reader.UnreadableError as error:
        raise SettingsError(f"{file_name(str(path))}: {error}") from None
    if not isinstance(document.data, dict):
        raise SettingsError(
            f"{file_name(str(path))}: is not a mapping of basic_auth_users and so on"
        )
    # An empty group counts as not written.
    data = {key: group for key, group in document.data.items() if group is not None}
    lines = [f"{file_name(str(path))}: {text}" for text in document.errors]
    try:
        web_config = WebConfigFile.model_validate(data)
        errors = list(_between_keys(web_config))
    except ValidationError as error:
        errors = first_errors(
            error,
            lambda: WebConfigFile.model_validate(beginning(data)),
            lambda details: config_error(details, WebConfigFile),
        )
    lines += first_lines(errors, lambda error: web_line(path, error.loc, error.text))
    if lines:
        raise SettingsError(*lines)
    return web_config


def web_line(path: Path, loc: tuple[str | int, ...], problem: str) -> str:
    """Return one line about an error in the file, or in a file that it names."""
    return f"{file_name(str(path))}: {key_path(loc)}: {problem}"


def _between_keys(file: WebConfigFile) -> Iterator[ConfigError]:
    tls = file.tls_server_config
    for key in ("cert", "key", "client_ca"):
        if getattr(tls, key) and getattr(tls, f"{key}_file"):
            problem = f"excluded by {key}_file; accepted: one of the two"
            yield ConfigError(("tls_server_config", key), problem)
    if tls.is_enabled:
        for key in ("cert", "key"):
            if not (getattr(tls, key) or getattr(tls, f"{key}_file")):
                problem = f"missing; accepted: the name of a file, or PEM as {key}"
                yield ConfigError(("tls_server_config", f"{key}_file"), problem)
    has_ca = bool(tls.client_ca or tls.client_ca_file)
    ca = "client_ca" if tls.client_ca else "client_ca_file"
    verifies = tls.client_auth_type != AUTH_TYPES[0]
    if has_ca and not verifies:
        problem = f"requires client_auth_type; accepted: {' or '.join(AUTH_TYPES[1:])}"
        yield ConfigError(("tls_server_config", ca), problem)
    if tls.client_auth_type == AUTH_TYPES[2] and not has_ca:
        problem = f"required when client_auth_type is {tls.client_auth_type}"
        yield ConfigError(("tls_server_config", "client_ca_file"), problem)
    if tls.client_allowed_sans is not None and tls.client_auth_type != AUTH_TYPES[2]:
        problem = "requires client_auth_type: RequireAndVerifyClientCert"
        yield ConfigError(("tls_server_config", "client_allowed_sans"), problem)
    if VERSIONS.index(tls.min_version) > VERSIONS.index(tls.max_version):
        problem = f"'{tls.min_version}' is above max_version; accepted: at most {tls.max_version}"
        yield ConfigError(("tls_server_config", "min_version"), problem)
    if tls.max_version == "TLS12" and tls.cipher_suites and not tls.ciphers:
        problem = "has no suite that can be used; accepted: some of TLS 1.2"
        yield ConfigError(("tls_server_config", "cipher_suites"), problem)
