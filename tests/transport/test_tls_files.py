from pathlib import Path

import pytest
import trustme

from exporter.transport.tls_files import ClientTls, TlsFileError, check_is_path, read_tls_files

PEM = trustme.CA().issue_cert("localhost").private_key_pem.bytes().decode()
CA_BUNDLE = "of clouds.yaml, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
ADVICE = (
    "names no file, and is not shown because it may be a secret, such as PEM text; accepted: "
    "the name of a file; write the text to a file and name that"
)


def error_of(tls: ClientTls) -> str:
    with pytest.raises(TlsFileError) as caught:
        read_tls_files(tls)
    return str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        PEM,
        PEM.replace("\n", " "),
        PEM.splitlines()[1],
        "LS0tLS1CRUdJTi",
        "x" * 5000,
        "a\0b",
        "a\nb",
    ],
    ids=["PEM", "folded", "one line", "base64", "long", "NUL", "line break"],
)
def test_content_in_place_of_a_file_is_never_shown(value: str) -> None:
    assert error_of(ClientTls(value)) == f"CA bundle ({CA_BUNDLE}) {ADVICE}"
    assert error_of(ClientTls(True, value)) == f"cert of clouds.yaml {ADVICE}"
    assert error_of(ClientTls(True, ("/x.pem", value))) == f"key of clouds.yaml {ADVICE}"


def test_long_name_of_an_existing_file_is_accepted(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 150) / ("y" * 150)
    folder.mkdir(parents=True)
    check_is_path("cacert", str(folder))


def test_folder_of_certificates_may_have_entries_that_cannot_be_read(tmp_path: Path) -> None:
    """OpenSSL skips them, too. A link to itself is unreadable to every user, also to root."""
    certificate = trustme.CA().cert_pem.bytes()
    (tmp_path / "a.pem").write_bytes(certificate)
    (tmp_path / "private").mkdir()
    (tmp_path / "unreadable.pem").symlink_to("unreadable.pem")
    files = dict(read_tls_files(ClientTls(str(tmp_path))))
    assert {Path(name).name: content for name, content in files.items()} == {
        "a.pem": certificate,
        "private": b"",
        "unreadable.pem": b"",
    }


def test_bundle_in_a_folder_that_cannot_be_entered_is_an_error_in_one_line(tmp_path: Path) -> None:
    """A link to itself fails as a closed folder does, and for root, too."""
    (tmp_path / "loop").symlink_to("loop")
    path = f"{tmp_path}/loop/ca.pem"
    assert error_of(ClientTls(path)) == (
        f"CA bundle {path} ({CA_BUNDLE}) cannot be used: Too many levels of symbolic links"
    )
