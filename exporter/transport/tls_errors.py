"""Explanation of a failed verification of a server's certificate."""

from collections.abc import Iterator
from ssl import SSLCertVerificationError

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from exporter.redaction import MAX_PATH
from exporter.text import single_line

UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for a chain of certificates that ends at none of the consulted ones.

The names of all codes are in openssl/x509_vfy.h.
"""
STRICT = frozenset(range(80, 94))
"""Codes of the checks of ``VERIFY_X509_STRICT``, which Python 3.13 has switched on."""


def explain_tls_error(error: BaseException, verify: bool | str) -> str:
    """Return what was consulted to verify a server's certificate, and what to set; may be empty.

    Args:
        error: The error of the connection; its cause may be one of verification.
        verify: True for the default authorities, or the CA bundle that was used.
    """
    problem = next((e for e in _nested(error) if isinstance(e, SSLCertVerificationError)), None)
    if problem is None:
        return ""
    if problem.verify_code in STRICT:
        return (
            "Python 3.13 and later check certificates more strictly than earlier versions: have "
            "the certificate, or that of its authority, issued again with all extensions"
        )
    if problem.verify_code not in UNKNOWN_AUTHORITY:
        return ""
    consulted = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    return (
        f"the authorities in {single_line(str(consulted), MAX_PATH)} were consulted: name a CA "
        "bundle that has the server's authority, by cacert of clouds.yaml or REQUESTS_CA_BUNDLE"
    )


def _nested(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its arguments that are errors, and its causes."""
    while error is not None:
        yield error
        for argument in error.args:
            if isinstance(argument, BaseException):
                yield from _nested(argument)
        error = error.__cause__ or error.__context__
