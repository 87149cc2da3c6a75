"""Web configuration files, and the certificates that they name."""

from pathlib import Path

import bcrypt
import trustme

USER = "dave"
PASSWORD = "dave123"
COST = 4
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(COST)).decode()
ANOTHER_HASH = bcrypt.hashpw(b"another", bcrypt.gensalt(COST)).decode()
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
"""The beginning of a file with certificates."""


class Folder:
    """A folder with a certificate and its key, another's key, a CA, and a client's certificate."""

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
        """Another certificate in the place of the one before."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(self.path / "cert.pem")
        issued.private_key_pem.write_to_path(self.path / "key.pem")
        return issued

    def write(self, text: str) -> Path:
        """The file, with this content."""
        self.file.write_text(text)
        return self.file

    def inline(self, name: str) -> str:
        """A PEM file as a block of YAML, indented by four."""
        return "|\n    " + "\n    ".join((self.path / name).read_text().splitlines())
