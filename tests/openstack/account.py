"""A user in a project, with the operations of the ``openstack`` command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

TIMEOUT = 120.0
"""Timeout of a request in seconds; a service that has just started is slow."""


def send(method: str, url: str, token: str | None = None) -> requests.Response:
    """Send a request without an account, with a token if there is one."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {} if token is None else {"X-Auth-Token": token}
        return session.request(method, url, headers=headers, timeout=TIMEOUT, allow_redirects=False)


@dataclass
class Account:
    """A user who authenticates by password with the first request.

    Methods raise AssertionError if the response is an error, except ``request`` and ``image_api``.
    """

    keystone: str
    glance: str
    user: str
    password: str = field(repr=False)
    project: str
    project_id: str = ""
    user_id: str = ""
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def sign_in(self) -> str:
        """Request a new token, use it for later requests, and return it."""
        self._session.trust_env = False
        domain = {"name": "Default"}
        response = self._session.post(
            f"{self.keystone}/v3/auth/tokens",
            timeout=TIMEOUT,
            headers={"X-Auth-Token": ""},
            json={
                "auth": {
                    "identity": {
                        "methods": ["password"],
                        "password": {
                            "user": {
                                "name": self.user,
                                "password": self.password,
                                "domain": domain,
                            }
                        },
                    },
                    "scope": {"project": {"name": self.project, "domain": domain}},
                }
            },
        )
        response.raise_for_status()
        token = response.json()["token"]
        self.project_id, self.user_id = token["project"]["id"], token["user"]["id"]
        self._session.headers["X-Auth-Token"] = response.headers["X-Subject-Token"]
        return str(response.headers["X-Subject-Token"])

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        """Send a request; return the response, whatever its status."""
        if "X-Auth-Token" not in self._session.headers:
            self.sign_in()
        return self._session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **more)

    def identity(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to Keystone; ``path`` begins after ``/v3``."""
        return self._checked(self.request(method, f"{self.keystone}/v3{path}", json=body))

    def image_api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request to Glance; return the response, whatever its status."""
        return self.request(method, f"{self.glance}{path}", **more)

    def application_credential(
        self,
        name: str,
        access_rules: Sequence[Mapping[str, str]] | None = None,
        role: str | None = None,
    ) -> dict[str, str]:
        """Create an application credential with one role or all; return its ID and secret.

        ``access_rules`` are the only requests that it may be used for, all if it is None.
        """
        if not self.user_id:
            self.sign_in()
        path = f"/users/{self.user_id}/application_credentials"
        body: dict[str, object] = {"name": name}
        if access_rules is not None:
            body["access_rules"] = list(access_rules)
        if role is not None:
            body["roles"] = [{"name": role}]
        document = self.identity("POST", path, {"application_credential": body})
        return {key: document["application_credential"][key] for key in ("id", "secret")}

    def create(self, image_id: str, name: str, **fields: Any) -> None:
        """Create an image without data, private by default."""
        defaults = {"disk_format": "raw", "container_format": "bare", "visibility": "private"}
        body = {**defaults, "id": image_id, "name": name, **fields}
        self._checked(self.image_api("POST", "/v2/images", json=body))

    def created_at(self, image_id: str) -> float:
        """Return the Unix time at which an image was created, a whole second."""
        document = self._checked(self.image_api("GET", f"/v2/images/{image_id}"))
        return datetime.fromisoformat(document["created_at"]).timestamp()

    def upload(self, image_id: str, data: bytes) -> None:
        """Upload the data of an image."""
        headers = {"Content-Type": "application/octet-stream"}
        path = f"/v2/images/{image_id}/file"
        self._checked(self.image_api("PUT", path, data=data, headers=headers))

    def change(self, image_id: str, **fields: Any) -> None:
        """Change fields such as ``protected``, ``visibility`` and ``os_hidden``."""
        patch = [
            {"op": "replace", "path": f"/{name}", "value": value} for name, value in fields.items()
        ]
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        path = f"/v2/images/{image_id}"
        self._checked(self.image_api("PATCH", path, json=patch, headers=headers))

    def act(self, image_id: str, action: str) -> None:
        """Run the action ``deactivate`` or ``reactivate``."""
        self._checked(self.image_api("POST", f"/v2/images/{image_id}/actions/{action}"))

    def delete(self, image_id: str) -> None:
        """Delete an image."""
        self._checked(self.image_api("DELETE", f"/v2/images/{image_id}"))

    def share(self, image_id: str, project_id: str) -> None:
        """Share an image, whose visibility is ``shared``, with another project."""
        path = f"/v2/images/{image_id}/members"
        self._checked(self.image_api("POST", path, json={"member": project_id}))

    def set_member_status(self, image_id: str, status: str) -> None:
        """Set the member status of a shared image: ``accepted``, ``rejected`` or ``pending``."""
        if not self.project_id:
            self.sign_in()
        path = f"/v2/images/{image_id}/members/{self.project_id}"
        self._checked(self.image_api("PUT", path, json={"status": status}))

    def ids(self, query: str) -> set[str]:
        """Return the IDs on the first page of a list."""
        response = self.image_api("GET", f"/v2/images?{query}")
        return {image["id"] for image in self._checked(response)["images"]}

    @staticmethod
    def _checked(response: requests.Response) -> Any:
        if not response.ok:
            request = f"{response.request.method} {response.request.url}"
            raise AssertionError(f"{request}: {response.status_code} {response.text[:500]}")
        return response.json() if response.content else None
