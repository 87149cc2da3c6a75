"""A user in a project: what a person with the ``openstack`` command could do."""

from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT = 30.0
"""Seconds for one request; a service that has just started is slow at first."""


def ask(method: str, url: str, token: str | None = None) -> requests.Response:
    """What is answered to somebody without an account, or with no more than a token."""
    with requests.Session() as session:
        session.trust_env = False
        headers = {} if token is None else {"X-Auth-Token": token}
        return session.request(method, url, headers=headers, timeout=TIMEOUT, allow_redirects=False)


@dataclass
class Account:
    """Signs in by password when first needed; answers that are no success raise, unless asked."""

    keystone: str
    glance: str
    user: str
    password: str = field(repr=False)
    project: str
    project_id: str = ""
    user_id: str = ""
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def sign_in(self) -> str:
        """A new token, which later requests carry."""
        self._session.trust_env = False
        domain = {"name": "Default"}
        answer = self._session.post(
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
        answer.raise_for_status()
        token = answer.json()["token"]
        self.project_id, self.user_id = token["project"]["id"], token["user"]["id"]
        self._session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        return str(answer.headers["X-Subject-Token"])

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def request(self, method: str, url: str, **more: Any) -> requests.Response:
        """The answer, whatever it is."""
        if "X-Auth-Token" not in self._session.headers:
            self.sign_in()
        return self._session.request(method, url, timeout=TIMEOUT, allow_redirects=False, **more)

    def identity(self, method: str, path: str, body: object = None) -> Any:
        """What Keystone answers; ``path`` begins after ``/v3``."""
        return self._done(self.request(method, f"{self.keystone}/v3{path}", json=body))

    def image_api(self, method: str, path: str, **more: Any) -> requests.Response:
        """The answer of Glance, whatever it is."""
        return self.request(method, f"{self.glance}{path}", **more)

    def application_credential(self, name: str) -> dict[str, str]:
        """The ID and secret of a new application credential with the user's own roles."""
        if not self.user_id:
            self.sign_in()
        path = f"/users/{self.user_id}/application_credentials"
        made = self.identity("POST", path, {"application_credential": {"name": name}})
        return {key: made["application_credential"][key] for key in ("id", "secret")}

    def create(self, image_id: str, name: str, **fields: Any) -> None:
        """Make an image without data, private unless said otherwise."""
        wanted = {"disk_format": "raw", "container_format": "bare", "visibility": "private"}
        body = {**wanted, "id": image_id, "name": name, **fields}
        self._done(self.image_api("POST", "/v2/images", json=body))

    def upload(self, image_id: str, data: bytes) -> None:
        """Give an image its data."""
        headers = {"Content-Type": "application/octet-stream"}
        path = f"/v2/images/{image_id}/file"
        self._done(self.image_api("PUT", path, data=data, headers=headers))

    def change(self, image_id: str, **fields: Any) -> None:
        """Give fields other values: ``protected``, ``visibility``, ``os_hidden`` and the like."""
        patch = [
            {"op": "replace", "path": f"/{name}", "value": value} for name, value in fields.items()
        ]
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        path = f"/v2/images/{image_id}"
        self._done(self.image_api("PATCH", path, json=patch, headers=headers))

    def act(self, image_id: str, action: str) -> None:
        """Carry out ``deactivate`` or ``reactivate``."""
        self._done(self.image_api("POST", f"/v2/images/{image_id}/actions/{action}"))

    def delete(self, image_id: str) -> None:
        """Delete an image."""
        self._done(self.image_api("DELETE", f"/v2/images/{image_id}"))

    def share(self, image_id: str, project_id: str) -> None:
        """Offer an image, whose visibility is ``shared``, to another project."""
        path = f"/v2/images/{image_id}/members"
        self._done(self.image_api("POST", path, json={"member": project_id}))

    def answer_offer(self, image_id: str, status: str) -> None:
        """Answer another project's offer: ``accepted``, ``rejected`` or ``pending``."""
        if not self.project_id:
            self.sign_in()
        path = f"/v2/images/{image_id}/members/{self.project_id}"
        self._done(self.image_api("PUT", path, json={"status": status}))

    def ids(self, query: str) -> set[str]:
        """The IDs of the images on the first page of a list."""
        answer = self.image_api("GET", f"/v2/images?{query}")
        return {image["id"] for image in self._done(answer)["images"]}

    @staticmethod
    def _done(answer: requests.Response) -> Any:
        if not answer.ok:
            request = f"{answer.request.method} {answer.request.url}"
            raise AssertionError(f"{request}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None
