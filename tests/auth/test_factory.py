import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.auth.base import AuthError, CloudConfigError
from exporter.auth.factory import build_authenticator
from exporter.transport.tls_files import ClientTls

ENDPOINT = "http://127.0.0.1:9292"


def test_endpoint_with_a_fixed_token_needs_no_keystone() -> None:
    authenticator = build_authenticator("n", endpoint=f"{ENDPOINT}/v1/", token="abc", timeout=1)
    token = authenticator.token()
    assert (token.endpoint, token.value) == (ENDPOINT, "abc")
    assert "abc" not in repr(token)
    assert authenticator.tls == ClientTls()
    with pytest.raises(AuthError, match="unauthorized: the configured token is refused"):
        authenticator.renew(token)
    authenticator.close()


def test_endpoint_may_need_no_token() -> None:
    authenticator = build_authenticator("n", endpoint=ENDPOINT, timeout=1)
    token = authenticator.token()
    assert token.value is None
    with pytest.raises(AuthError, match="requires a token, and none is configured"):
        authenticator.renew(token)


def test_token_file_is_read_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc\n")
    authenticator = build_authenticator("n", endpoint=ENDPOINT, token_file=path, timeout=1)
    assert authenticator.token().value == "abc"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"endpoint": "cloud:9292"},
            "endpoint: an endpoint must be an http or https URL with a host",
        ),
        (
            {"endpoint": ENDPOINT, "token": "a b"},
            "token: contains white space, control or non-ASCII characters",
        ),
        ({"endpoint": ENDPOINT, "token": ""}, "token: is empty"),
        (
            {"endpoint": ENDPOINT, "token_file": Path("/nowhere/token")},
            "token file /nowhere/token cannot be read: No such file or directory",
        ),
    ],
)
def test_invalid_configuration_is_an_error_that_names_the_cloud(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(CloudConfigError) as caught:
        build_authenticator("lab", timeout=1, **config)
    assert str(caught.value) == f"cloud 'lab': {message}"


def test_openstacksdk_is_imported_only_if_a_cloud_needs_it() -> None:
    code = (
        "import sys; from exporter.auth.factory import build_authenticator;"
        f"build_authenticator('n', endpoint={ENDPOINT!r}, timeout=1);"
        "sys.exit('openstack' in sys.modules or 'keystoneauth1' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
