"""Keystone and Glance from the package index, on loopback, in one folder."""

import getpass
import grp
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.openstack.account import Account
from tests.openstack.service import VENV, Service, program
from tests.support.wait import wait_until

PASSWORD = "s3cret-and-long"
REGION = "RegionOne"
TOKEN_CACHE = 1
"""Seconds. Glance's own default is 300, too long for a test of a revoked token."""

KEYSTONE = """
[database]
connection = sqlite:///{folder}/keystone.db
[token]
expiration = 3600
[fernet_tokens]
key_repository = {folder}/keys/tokens
[fernet_receipts]
key_repository = {folder}/keys/receipts
[credential]
key_repository = {folder}/keys/credentials
[identity]
domain_config_dir = {folder}/domains
# The minimum: these passwords need no protection, and the tests should be fast.
password_hash_rounds = 4
"""

GLANCE = """
[DEFAULT]
enabled_backends = fs:file
node_staging_uri = file://{folder}/staging
[database]
connection = sqlite:///{folder}/glance.db
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {folder}/images
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/tasks
[paste_deploy]
flavor = keystone
config_file = {venv}/etc/glance/glance-api-paste.ini
[keystone_authtoken]
auth_url = {keystone}/v3
www_authenticate_uri = {keystone}/v3
auth_type = password
username = admin
password = {password}
project_name = admin
user_domain_id = default
project_domain_id = default
interface = public
# Without it, Glance refuses every token that has access rules.
service_type = image
token_cache_time = {token_cache}
"""


class OpenStack:
    """A cloud of its own; a context manager that starts and stops it.

    There are two projects in addition to the administrator's: ``demo`` with the users ``demo``
    (role member) and ``reader`` (role reader), and ``other`` with the user ``other`` (role
    member). ``clouds_yaml`` has the entries ``demo`` (by password) and ``demo-appcred`` (by
    application credential); their secrets are in ``secure_yaml``. ``token_cache`` is the time in
    seconds for which Glance caches the validation of a token.
    """

    def __init__(self, folder: Path, token_cache: int = TOKEN_CACHE) -> None:
        self.folder = folder
        self._token_cache = token_cache
        self.clouds_yaml = folder / "clouds.yaml"
        self.secure_yaml = folder / "secure.yaml"
        for name in ("keystone", "glance", "keys"):
            (folder / name).mkdir()
        self._keystone_conf = folder / "keystone" / "keystone.conf"
        self._glance_conf = folder / "glance" / "glance-api.conf"
        environ = {"HOME": str(folder), "PYTHONWARNINGS": "ignore", "NO_PROXY": "*"}
        self.keystone = Service(
            "keystone.wsgi.api:application",
            folder / "keystone",
            folder / "keystone.log",
            {**environ, "OS_KEYSTONE_CONFIG_DIR": f"{folder}/keystone/"},
        )
        self.glance = Service(
            "glance.wsgi.api:application",
            folder / "glance",
            folder / "glance.log",
            {**environ, "OS_GLANCE_CONFIG_DIR": f"{folder}/glance"},
        )
        account = partial(Account, self.keystone.url, self.glance.url)
        self.admin = account("admin", PASSWORD, "admin")
        self.demo = account("demo", PASSWORD, "demo")
        self.reader = account("reader", PASSWORD, "demo")
        self.other = account("other", PASSWORD, "other")

    def __enter__(self) -> Self:
        try:
            self._configure()
            with ThreadPoolExecutor() as pool:
                futures = [pool.submit(self._make_keystone), pool.submit(self._make_glance)]
                for future in futures:
                    future.result()
            # Not in the pool: the kernel terminates a service with the thread that started it.
            self.keystone.start()
            self._populate()
            self.glance.start()
            self._write_clouds()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop both services and close all connections."""
        for account in (self.admin, self.demo, self.reader, self.other):
            account.close()
        self.glance.close()
        self.keystone.close()

    def revoke_tokens(self, account: Account) -> None:
        """Revoke all tokens of a user, and wait until new ones are valid."""
        # Keystone revokes them whenever an administrator sets the password, even to the same
        # one. Disabling the user would revoke them too, but also prevent authentication.
        body = {"user": {"password": account.password}}
        self.admin.identity("PATCH", f"/users/{account.user_id}", body)
        # Keystone counts in whole seconds: a token of the same second is revoked as well.
        wait_until(lambda: self._is_valid(account.sign_in()), pause=0.05)

    @contextmanager
    def token_life(self, seconds: int) -> Iterator[None]:
        """Set the lifetime of tokens during the block; restarts Keystone twice."""
        original = self._keystone_conf.read_text("utf-8")
        changed = re.sub(
            r"^expiration = .*$", f"expiration = {seconds}", original, flags=re.MULTILINE
        )
        try:
            with self.keystone.stopped():
                self._keystone_conf.write_text(changed, "utf-8")
            yield
        finally:
            with self.keystone.stopped():
                self._keystone_conf.write_text(original, "utf-8")

    @contextmanager
    def without_service_type(self) -> Iterator[None]:
        """Remove ``service_type`` from Glance's settings; restarts Glance twice."""
        original = self._glance_conf.read_text("utf-8")
        try:
            with self.glance.stopped():
                self._glance_conf.write_text(
                    original.replace("service_type = image\n", ""), "utf-8"
                )
            yield
        finally:
            with self.glance.stopped():
                self._glance_conf.write_text(original, "utf-8")

    def _is_valid(self, token: str) -> bool:
        url = f"{self.keystone.url}/v3/auth/tokens"
        return self.admin.request("GET", url, headers={"X-Subject-Token": token}).ok

    def _configure(self) -> None:
        self._keystone_conf.write_text(KEYSTONE.format(folder=self.folder), "utf-8")
        glance = GLANCE.format(
            folder=self.folder,
            venv=VENV,
            keystone=self.keystone.url,
            password=PASSWORD,
            token_cache=self._token_cache,
        )
        self._glance_conf.write_text(glance, "utf-8")

    def _make_keystone(self) -> None:
        manage = partial(_manage, "keystone-manage", self._keystone_conf)
        # It requires the owner of the keys, even if it is the current user.
        user = ("--keystone-user", getpass.getuser())
        group = ("--keystone-group", grp.getgrgid(os.getgid()).gr_name)
        manage("fernet_setup", *user, *group)
        manage("db_sync")
        endpoint = ("--bootstrap-public-url", f"{self.keystone.url}/v3")
        region = ("--bootstrap-region-id", REGION)
        manage("bootstrap", "--bootstrap-password", PASSWORD, *region, *endpoint)

    def _make_glance(self) -> None:
        _manage("glance-manage", self._glance_conf, "db_sync")

    def _populate(self) -> None:
        identity = self.admin.identity
        service = {"service": {"name": "glance", "type": "image"}}
        endpoint = {
            "service_id": identity("POST", "/services", service)["service"]["id"],
            "interface": "public",
            "region_id": REGION,
            "url": self.glance.url,
        }
        identity("POST", "/endpoints", {"endpoint": endpoint})
        roles = {role["name"]: role["id"] for role in identity("GET", "/roles")["roles"]}
        projects: dict[str, str] = {}
        for account, role in (
            (self.demo, "member"),
            (self.reader, "reader"),
            (self.other, "member"),
        ):
            if account.project not in projects:
                body = {"project": {"name": account.project, "domain_id": "default"}}
                projects[account.project] = identity("POST", "/projects", body)["project"]["id"]
            body = {"user": {"name": account.user, "password": PASSWORD, "domain_id": "default"}}
            user = identity("POST", "/users", body)["user"]["id"]
            project = projects[account.project]
            identity("PUT", f"/projects/{project}/users/{user}/roles/{roles[role]}")
            account.sign_in()

    def _write_clouds(self) -> None:
        auth_url = f"{self.keystone.url}/v3"
        credential = self.demo.application_credential("exporter")
        by_password = {
            "auth_url": auth_url,
            "username": "demo",
            "user_domain_name": "Default",
            "project_name": "demo",
            "project_domain_name": "Default",
        }
        by_credential = {"auth_url": auth_url, "application_credential_id": credential["id"]}
        clouds = {
            "demo": {"auth": by_password, "region_name": REGION},
            "demo-appcred": {
                "auth_type": "v3applicationcredential",
                "auth": by_credential,
                "region_name": REGION,
            },
        }
        secrets = {
            "demo": {"auth": {"password": PASSWORD}},
            "demo-appcred": {"auth": {"application_credential_secret": credential["secret"]}},
        }
        self.clouds_yaml.write_text(yaml.safe_dump({"clouds": clouds}), "utf-8")
        self.secure_yaml.write_text(yaml.safe_dump({"clouds": secrets}), "utf-8")


def _manage(name: str, config: Path, *command: str) -> None:
    result = subprocess.run(
        [program(name), "--config-file", str(config), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(f"{name} {command[0]} failed:\n{result.stdout[-4000:]}")
