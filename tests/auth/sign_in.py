"""Sign-ins of tests: an authenticator, and the failure of one."""

from typing import Any

import pytest

from exporter.auth.base import Authenticator, AuthError
from exporter.auth.factory import build_authenticator

IMAGE = "http://192.0.2.1:9292"
"""The endpoint in the catalog of the fixture ``keystone``."""


def authenticator(**config: Any) -> Authenticator:
    return build_authenticator("name", **{"timeout": 5.0, **config})


def failure(**config: Any) -> AuthError:
    with pytest.raises(AuthError) as caught:
        authenticator(**config).token()
    return caught.value
