import ssl

from exporter.web.security.tls import ServerTls, TlsOptions


def test_unreadable_address_of_a_client_certificate_matches_nothing() -> None:
    """Python's ssl reports an IP address of wrong length as ``<invalid>``."""
    options = TlsOptions(b"", b"", allowed_sans=frozenset({"10.0.0.1"}))
    tls = ServerTls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), options)
    invalid, valid = ("IP Address", "<invalid>"), ("IP Address", "10.0.0.1")
    assert tls.accepts_client({"subjectAltName": (invalid, valid)})
    assert not tls.accepts_client({"subjectAltName": (invalid,)})
