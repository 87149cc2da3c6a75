"""Certificates of an entry of clouds.yaml: ``verify``, ``cacert``, ``cert`` and ``key``."""

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
from openstack.config.cloud_region import CloudRegion

from exporter.auth.base import CloudConfigError
from exporter.transport.tls_files import ClientTls, TlsFileError, check_is_path, check_pem_file

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
"""Texts that templates and variables such as OS_VERIFY contain instead of a boolean."""


def to_boolean(value: object) -> object:
    """Return the boolean that a text or number means, or any other value unchanged."""
    return _BOOLEANS.get(str(value).strip().lower(), value)


def client_tls(config: CloudRegion) -> ClientTls:
    """Return the certificates of an entry.

    Raises:
        CloudConfigError: A value is not accepted, or a file is missing.
    """
    settings: dict[str, Any] = config.config
    settings["verify"] = to_boolean(settings.get("verify", True))
    if settings["verify"] is None:
        settings["verify"] = True
    for key in _used_keys(settings):
        _check(key, settings[key])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openstacksdk warns of a CA bundle without verification
        verify, cert = config.get_requests_verify_args()
    if verify is False:
        # urllib3 would repeat the warning on every request, although the operator chose this.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return ClientTls(True if verify is None else verify, cert)


def _used_keys(settings: Mapping[str, object]) -> Iterator[str]:
    """Yield the keys that name a file which connections use."""
    if settings["verify"] is not False and not settings.get("insecure"):
        if settings.get("cacert"):
            yield "cacert"
        elif settings["verify"] is not True:
            yield "verify"
    if settings.get("cert"):
        yield "cert"
        if settings.get("key"):
            yield "key"


def _check(key: str, value: object) -> None:
    setting = f"{key} (OS_{key.upper()})"
    if value == "":
        raise CloudConfigError(f"{setting} is empty; accepted: true, false, or a CA bundle")
    if not isinstance(value, str):
        raise CloudConfigError(f"{setting} is not text; accepted: the name of a file, in quotes")
    # As openstacksdk does, which does not fail without a home directory.
    name = os.path.expanduser(value)
    try:
        check_is_path(setting, name, may_be_secret=key == "key")
        is_folder = key in {"cacert", "verify"} and os.path.isdir(name)
        if not is_folder:
            check_pem_file(name)
    except TlsFileError as error:
        fault = str(error)
    except FileNotFoundError:
        fault = f"the certificate file {name} does not exist; correct {setting}"
    except OSError as error:
        fault = f"the certificate file {name} cannot be used: {error.strerror}; correct {setting}"
    else:
        return
    raise CloudConfigError(fault)
