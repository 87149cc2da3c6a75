"""Valid and invalid web configuration files of all kinds that exporter-toolkit tests."""

import logging
from pathlib import Path

import pytest

from exporter.config import SettingsError
from exporter.files import WatchedFiles
from exporter.web_security import load_security
from tests.support.web_config import OTHER_PASSWORD_HASH, PASSWORD_HASH, TLS, WebConfigFolder


@pytest.fixture
def folder(tmp_path: Path) -> WebConfigFolder:
    """A folder with all files that a web configuration may name."""
    return WebConfigFolder(tmp_path)


CIPHERS = ", ".join(
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in (
        "AES_128_CBC_SHA",
        "AES_256_CBC_SHA",
        "AES_128_GCM_SHA256",
        "AES_256_GCM_SHA384",
        "CHACHA20_POLY1305_SHA256",
    )
)
AUTH_TYPES = "NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"
CURVES = "CurveP256, CurveP384, CurveP521, X25519"
CA = "client_ca_file: ca.pem"
VERIFIES = f"client_auth_type: RequireAndVerifyClientCert, {CA}"

INVALID = {
    "a list": ("- a", "is not a mapping of basic_auth_users and so on"),
    **{
        group: (
            f"{group}: secret",
            f"{group}: not a mapping (and not shown); accepted: a mapping of keys to values",
        )
        for group in ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
    },
    "not YAML": ("tls_server_config: [", None),
    "unknown key": (
        "tls_config: {}",
        "tls_config: unknown key; did you mean tls_server_config?; accepted: tls_server_config, "
        "http_server_config, basic_auth_users, rate_limit",
    ),
    "unknown key of TLS": (
        f"{TLS}, certfile: a}}",
        "tls_server_config.certfile: unknown key; did you mean cert_file?; accepted: cert, key, "
        "client_ca, cert_file, key_file, client_ca_file, client_auth_type, client_allowed_sans, "
        "min_version, max_version, cipher_suites, prefer_server_cipher_suites, curve_preferences",
    ),
    "key twice": (
        "rate_limit: {}\nrate_limit: {}",
        "line 2: rate_limit is a duplicate of line 1",
    ),
    "no certificate": (
        "tls_server_config: {key_file: key.pem}",
        "tls_server_config.cert_file: missing; accepted: the name of a file, or PEM as cert",
    ),
    "empty certificate": (
        "tls_server_config: {cert_file: '', key_file: key.pem}",
        "tls_server_config.cert_file: missing; accepted: the name of a file, or PEM as cert",
    ),
    "empty inline certificate": (
        "tls_server_config: {cert: '', key_file: key.pem}",
        "tls_server_config.cert_file: missing; accepted: the name of a file, or PEM as cert",
    ),
    "no key": (
        "tls_server_config: {cert_file: cert.pem}",
        "tls_server_config.key_file: missing; accepted: the name of a file, or PEM as key",
    ),
    "empty key": (
        "tls_server_config: {cert_file: cert.pem, key: ''}",
        "tls_server_config.key_file: missing; accepted: the name of a file, or PEM as key",
    ),
    "certificate that is not there": (
        "tls_server_config: {cert_file: no.pem, key_file: key.pem}",
        "tls_server_config.cert_file: FOLDER/no.pem cannot be read: No such file or directory",
    ),
    "key that is not there": (
        "tls_server_config: {cert_file: cert.pem, key_file: no.pem}",
        "tls_server_config.key_file: FOLDER/no.pem cannot be read: No such file or directory",
    ),
    "certificate that is none": (
        "tls_server_config: {cert_file: junk.pem, key_file: key.pem}",
        "tls_server_config.cert_file: FOLDER/junk.pem does not contain a readable certificate",
    ),
    "key that is none": (
        "tls_server_config: {cert_file: cert.pem, key_file: junk.pem}",
        "tls_server_config.key_file: FOLDER/junk.pem does not contain a readable key; accepted: "
        "PEM without a password",
    ),
    "certificate in another language": (
        "tls_server_config: {cert_file: foreign.pem, key_file: key.pem}",
        "tls_server_config.cert_file: FOLDER/foreign.pem does not contain a readable certificate",
    ),
    "another's key": (
        "tls_server_config: {cert_file: cert.pem, key_file: other.pem}",
        "tls_server_config.key_file: FOLDER/other.pem does not match the certificate",
    ),
    "inline certificate that is none": (
        "tls_server_config: {cert: junk, key_file: key.pem}",
        "tls_server_config.cert: not PEM (and not shown); accepted: text that begins with "
        "-----BEGIN",
    ),
    "inline key that cannot be read": (
        "tls_server_config: {cert_file: cert.pem, key: '-----BEGIN PRIVATE KEY-----'}",
        "tls_server_config.key: does not contain a readable key; accepted: PEM without a password",
    ),
    **{
        f"PEM as {key}": (
            f"tls_server_config: {{{key}: {pem}}}",
            f"tls_server_config.{key}: not the name of a file (and not shown); accepted: the name "
            "of a file",
        )
        for key, pem in (
            ("key_file", '"-----BEGIN PRIVATE KEY-----"'),
            ("cert_file", '"MIIEvQIINVALIDAN\\nBgkqhkiG9w0B\\n"'),
        )
    },
    "two certificates": (
        f"{TLS}, cert: '-----BEGIN CERTIFICATE-----'}}",
        "tls_server_config.cert: excluded by cert_file; accepted: one of the two",
    ),
    "CA without a policy": (
        f"{TLS}, {CA}}}",
        "tls_server_config.client_ca_file: requires client_auth_type; accepted: "
        "VerifyClientCertIfGiven or RequireAndVerifyClientCert",
    ),
    "policy without a CA": (
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}",
        "tls_server_config.client_ca_file: required when client_auth_type is "
        "RequireAndVerifyClientCert",
    ),
    "CA that is not there": (
        f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: no.pem}}",
        "tls_server_config.client_ca_file: FOLDER/no.pem cannot be read: No such file or directory",
    ),
    "CA that is none": (
        f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: junk.pem}}",
        "tls_server_config.client_ca_file: FOLDER/junk.pem does not contain a readable certificate",
    ),
    "invented policy": (
        f"{TLS}, client_auth_type: Maybe}}",
        f"tls_server_config.client_auth_type: 'Maybe' is not accepted; accepted: {AUTH_TYPES}",
    ),
    **{
        policy: (
            f"{TLS}, client_auth_type: {policy}}}",
            f"tls_server_config.client_auth_type: '{policy}' is not supported: client "
            f"certificates are always verified; accepted: {AUTH_TYPES}",
        )
        for policy in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
    },
    "names without a policy": (
        f"{TLS}, client_allowed_sans: [a]}}",
        "tls_server_config.client_allowed_sans: requires client_auth_type: "
        "RequireAndVerifyClientCert",
    ),
    "names where a certificate may be left out": (
        f"{TLS}, client_allowed_sans: [a], {CA}, client_auth_type: VerifyClientCertIfGiven}}",
        "tls_server_config.client_allowed_sans: requires client_auth_type: "
        "RequireAndVerifyClientCert",
    ),
    "invented version": (
        f"{TLS}, min_version: TLS111}}",
        "tls_server_config.min_version: 'TLS111' is not accepted; accepted: TLS12, TLS13",
    ),
    "old version": (
        f"{TLS}, max_version: TLS11}}",
        "tls_server_config.max_version: 'TLS11' is not supported: too old for OpenSSL; "
        "accepted: TLS12, TLS13",
    ),
    "versions in the wrong order": (
        f"{TLS}, min_version: TLS13, max_version: TLS12}}",
        "tls_server_config.min_version: 'TLS13' is above max_version; accepted: at most TLS12",
    ),
    "invented cipher": (
        f"{TLS}, cipher_suites: [TLS_INVENTED]}}",
        "tls_server_config.cipher_suites[0]: 'TLS_INVENTED' is not accepted; accepted: " + CIPHERS,
    ),
    "TLS 1.2 without one of its ciphers": (
        f"{TLS}, cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12}}",
        "tls_server_config.cipher_suites: has no suite that can be used; accepted: some of TLS 1.2",
    ),
    "invented curve": (
        f"{TLS}, curve_preferences: [CurveP257]}}",
        f"tls_server_config.curve_preferences[0]: 'CurveP257' is not accepted; accepted: {CURVES}, "
        "X25519MLKEM768",
    ),
    "header that cannot be set": (
        "http_server_config: {headers: {Server: a}}",
        "http_server_config.headers: Server cannot be set; accepted: Content-Security-Policy, "
        "X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, Strict-Transport-Security",
    ),
    "content type options": (
        "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
        "http_server_config.headers: X-Content-Type-Options: 'sniff' is not accepted; accepted: "
        "nosniff",
    ),
    "frame options": (
        "http_server_config: {headers: {X-Frame-Options: allow}}",
        "http_server_config.headers: X-Frame-Options: 'allow' is not accepted; accepted: deny, "
        "sameorigin",
    ),
    "header with a line break": (
        'http_server_config: {headers: {Strict-Transport-Security: "a\\r\\nb: c"}}',
        "http_server_config.headers: Strict-Transport-Security: 'a\\r\\nb: c' is not accepted; "
        "accepted: visible ASCII characters and spaces",
    ),
    "HTTP/2 by a word": (
        "http_server_config: {http2: maybe}",
        "http_server_config.http2: 'maybe' is not accepted; accepted: true or false",
    ),
    "password that is no hash": (
        "basic_auth_users: {john: doe}",
        "basic_auth_users.john: not a bcrypt hash (and not shown); accepted: what htpasswd -nBC 10 "
        "makes",
    ),
    "hash that bcrypt cannot read": (
        f"basic_auth_users: {{john: '{PASSWORD_HASH[:28]}z{PASSWORD_HASH[29:]}'}}",
        "basic_auth_users.john: not a bcrypt hash (and not shown); accepted: what htpasswd -nBC 10 "
        "makes",
    ),
    "user with a colon": (
        f"basic_auth_users: {{'a:{PASSWORD_HASH}': '{PASSWORD_HASH}'}}",
        "basic_auth_users: a: no user can have a colon in the name",
    ),
    "hash in the place of the user": (
        f"basic_auth_users: {{'{PASSWORD_HASH}': john}}",
        "basic_auth_users: a hash is not a user (and not shown); accepted: a hash for each user",
    ),
    "interval that is none": (
        "rate_limit: {interval: soon, burst: 1}",
        "rate_limit.interval: 'soon' is not a duration; accepted: 30s, 1m30s, 15m, 90d",
    ),
    "burst that is none": (
        "rate_limit: {interval: 1s, burst: many}",
        "rate_limit.burst: 'many' is not accepted; accepted: a whole number from 0 to 1000000",
    ),
}

VALID = {
    "empty": "",
    "nothing in it": "{}",
    "empty groups": "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:",
    "certificate": f"{TLS}}}",
    "all ciphers": f"{TLS}, cipher_suites: [{CIPHERS}]}}",
    "some ciphers": f"{TLS}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}",
    "ciphers in the client's order": f"{TLS}, prefer_server_cipher_suites: false, "
    "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}",
    "ciphers without HTTP/2": f"{TLS}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]}}\n"
    "http_server_config: {http2: false}",
    **{curve: f"{TLS}, curve_preferences: [{curve}]}}" for curve in CURVES.split(", ")},
    "versions": f"{TLS}, min_version: TLS13, max_version: TLS13}}",
    "no client certificate": f"{TLS}, client_auth_type: NoClientCert}}",
    "empty policy": f"{TLS}, client_auth_type: ''}}",
    "client certificate if given": f"{TLS}, client_auth_type: VerifyClientCertIfGiven, {CA}}}",
    "client certificate": f"{TLS}, {VERIFIES}}}",
    "names of clients": f"{TLS}, {VERIFIES}, client_allowed_sans: [a, b]}}",
    "headers": "http_server_config: {headers: {X-Frame-Options: sameorigin, "
    "X-XSS-Protection: 1, Content-Security-Policy: default-src 'self', "
    "X-Content-Type-Options: nosniff, Strict-Transport-Security: ''}}".replace("n: 1", "n: '1'"),
    "users": f"basic_auth_users: {{alice: '{PASSWORD_HASH}', bob: '{OTHER_PASSWORD_HASH}'}}",
    "users and a certificate": f"{TLS}}}\nbasic_auth_users: {{alice: '{PASSWORD_HASH}'}}",
    "number as the value of a header": "http_server_config: {headers: {X-XSS-Protection: 1}}",
    "no limit": "rate_limit: {interval: 0, burst: 0}",
    "limit": "rate_limit: {interval: 1s, burst: 5}",
}


@pytest.mark.parametrize("kind", INVALID)
def test_error_names_file_key_problem_and_accepted_values(
    folder: WebConfigFolder, kind: str
) -> None:
    content, problem = INVALID[kind]
    file = folder.write(content)
    with pytest.raises(SettingsError) as raised:
        load_security(file)
    (line,) = raised.value.lines
    if problem is None:
        assert line.startswith(f"{file}: is not valid YAML: line 2, column ")
    else:
        assert line == f"{file}: {problem.replace('FOLDER', str(folder.path))}"


def test_all_mistakes_are_reported_at_once(folder: WebConfigFolder) -> None:
    file = folder.write("a: 1\nrate_limit: {burst: x}\nbasic_auth_users: {b: c}")
    with pytest.raises(SettingsError) as raised:
        load_security(file)
    assert [line.split(": ")[1] for line in raised.value.lines] == [
        "basic_auth_users.b",
        "rate_limit.burst",
        "a",
    ]


def test_missing_file_is_named(folder: WebConfigFolder) -> None:
    with pytest.raises(SettingsError) as raised:
        load_security(folder.file)
    assert raised.value.lines == (f"{folder.file}: cannot be read: No such file or directory",)


@pytest.mark.parametrize("kind", VALID)
def test_valid_files_are_loaded_without_warnings(
    folder: WebConfigFolder, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_security(folder.write(VALID[kind])).config
    assert (config.tls is not None) is VALID[kind].startswith(TLS)
    assert bool(config.users) is ("basic_auth_users: {" in VALID[kind])
    assert (config.rate_limit is not None) is (kind == "limit")
    assert caplog.records == []


def test_inline_certificates_are_loaded_and_secrets_redacted(folder: WebConfigFolder) -> None:
    file = folder.write(
        "tls_server_config:\n"
        f"  cert: {folder.inline('cert.pem')}\n"
        f"  key: {folder.inline('key.pem')}\n"
        f"  client_ca: {folder.inline('ca.pem')}\n"
        "  client_auth_type: RequireAndVerifyClientCert\n"
        f"basic_auth_users: {{alice: '{PASSWORD_HASH}'}}\n"
    )
    redacted: list[str] = []
    loaded = load_security(file, redacted.append)
    assert loaded.config.tls is not None
    assert redacted == [PASSWORD_HASH, (folder.path / "key.pem").read_text()]
    assert loaded.files == (file,)


def test_comments_in_a_ca_bundle_need_not_be_ascii(folder: WebConfigFolder) -> None:
    ca = folder.path / "ca.pem"
    ca.write_text(f"# Főtanúsítvány\n{ca.read_text()}", "utf-8")
    tls = load_security(folder.write(f"{TLS}, {VERIFIES}}}")).config.tls
    assert tls is not None
    assert len(tls.context.get_ca_certs()) == 1


def test_explicit_http2_logs_a_warning(
    folder: WebConfigFolder, caplog: pytest.LogCaptureFixture
) -> None:
    load_security(folder.write(f"{TLS}}}\nhttp_server_config: {{http2: true}}"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.__dict__["fields"]["key"] == "http_server_config.http2"


def test_files_are_watched_even_if_they_cannot_be_used(folder: WebConfigFolder) -> None:
    names = ("web.yml", "cert.pem", "key.pem", "ca.pem")
    files = tuple(folder.path / name for name in names)
    assert load_security(folder.write(f"{TLS}, {VERIFIES}}}")).files == files
    (folder.path / "ca.pem").unlink()
    watched = WatchedFiles()
    with pytest.raises(SettingsError):
        load_security(folder.file, watched=watched)
    assert watched.paths == files
    watched = WatchedFiles()
    with pytest.raises(SettingsError):
        load_security(folder.write("["), watched=watched)
    assert watched.paths == (folder.file,)
    assert load_security(None).files == ()


def test_nothing_is_protected_without_a_file() -> None:
    config = load_security(None).config
    assert (config.tls, bool(config.users), config.rate_limit) == (None, False, None)
