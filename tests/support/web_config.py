"""Web configuration files, and the certificates that they name."""

import base64
from pathlib import Path

import bcrypt
import trustme

USER = "dave"
PASSWORD = "dave123"
BCRYPT_COST = 4
PASSWORD_HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
OTHER_PASSWORD_HASH = bcrypt.hashpw(b"another", bcrypt.gensalt(BCRYPT_COST)).decode()
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
"""Beginning of a web configuration with certificates; the caller closes the brace."""


def basic_auth_header(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    """Return the Authorization header of a user."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class WebConfigFolder:
    """A folder for a web configuration file, with certificates that it can name.

    ``cert.pem`` and ``key.pem`` match; ``other.pem`` is the key of another certificate, ``ca.pem``
    the CA, and ``junk.pem`` and ``foreign.pem`` are not PEM. ``client`` is a client's certificate.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "web.yml"
        self.authority = trustme.CA()
        self.renew()
        self.authority.cert_pem.write_to_path(path / "ca.pem")
        stranger = trustme.CA().issue_cert("localhost")
        stranger.private_key_pem.write_to_path(path / "other.pem")
        (path / "junk.pem").write_text("no certificate\n")
        (path / "foreign.pem").write_text("kein gültiges\n", "utf-8")
        self.client = self.authority.issue_cert("client@example.com", "client.test", "::1")

    def renew(self) -> trustme.LeafCert:
        """Replace certificate and key by new ones."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(self.path / "cert.pem")
        issued.private_key_pem.write_to_path(self.path / "key.pem")
        return issued

    def write(self, text: str) -> Path:
        """Write the web configuration file."""
        self.file.write_text(text)
        return self.file

    def inline(self, name: str) -> str:
        """Return a PEM file as a YAML block, indented by four."""
        return "|\n    " + "\n    ".join((self.path / name).read_text().splitlines())
