"""A page behind Apache's mod_auth_openidc: sign-in, who is there, refresh, logout."""

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dataspace import jwk
from examples.actors import Person
from tests.clients.conftest import NAME
from tests.clients.deployment import Deployment, answer_page
from tools.processes import Command, Processes, free_port

HERE = Path(__file__).parent / "apache"
MODULES = "/usr/lib/apache2/modules"
KEY_ID = "apache-1"


@contextmanager
def apache(deployment: Deployment, *, method: str = "client_secret_basic", mode: str = "query") -> Iterator[str]:
    """Apache in the foreground, registered as a client; its address."""
    port = free_port()
    origin = f"http://localhost:{port}"
    # Not pytest's own folder, which only we may enter: started by root, Apache works as www-data.
    folder = Path(tempfile.mkdtemp(prefix="dataspace-apache-"))
    folder.chmod(0o755)
    shutil.copytree(HERE / "pages", folder / "pages")
    client = deployment.sign_in_client(
        f"apache-{method}-{mode}",
        method=method,
        redirect_uri=f"{origin}/oidc/callback",
        jwks=make_keys(folder),
        options={"post_logout_redirect_uris": [f"{origin}/left.html"]},
    )
    variables = {
        "FOLDER": str(folder), "MODULES": MODULES, "PORT": str(port), "ISSUER": deployment.issuer, "METHOD": method,
        "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["secret"] or "none", "KEY_ID": KEY_ID,
        "RESPONSE_MODE": mode, "PASSPHRASE": secrets.token_hex(16),
    }  # fmt: skip
    command = ["/usr/sbin/apache2", "-DFOREGROUND", "-f", str(HERE / "httpd.conf")]
    try:
        with Processes([Command("apache", command, variables, f"{origin}/left.html")], folder / "said.log"):
            yield origin
    finally:
        print(*(log.read_text() for log in folder.glob("*.log")))  # shown when a test fails
        shutil.rmtree(folder)


def make_keys(folder: Path) -> dict[str, Any]:
    """A key for private_key_jwt, where the module reads it; the JWK set to register. The module knows RSA only."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "private.pem").write_bytes(private)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public)
    return {"keys": [jwk.public_jwk(key, kid=KEY_ID, alg="RS256")]}


def arrive(person: Person, url: str) -> dict[str, str]:
    """Open a protected page, do whatever is asked on the way; what the page says."""
    person.browser.open(url)
    for _ in range(4):
        if person.page.title == "Members":
            return dict(re.findall(r"(\w+)=(\S*)", person.page.main))
        answer_page(person)
    raise AssertionError(f"{person.page.url} ({person.page.status}): {person.page.main[:400]}")


def test_sign_in_refresh_and_logout(deployment: Deployment, newcomer: Person) -> None:
    with apache(deployment) as origin:
        members = f"{origin}/members/index.shtml"
        told = arrive(newcomer, members)
        assert told["name"] == NAME
        assert told["issuer"] == deployment.issuer
        assert told["user"]

        newcomer.browser.open(
            f"{origin}/oidc/callback?{urlencode({'refresh': members, 'access_token': told['token']})}"
        )
        again = arrive(newcomer, members)
        assert again["user"] == told["user"]
        assert again["token"] != told["token"]

        newcomer.browser.open(f"{origin}/oidc/callback?{urlencode({'logout': f'{origin}/left.html'})}")
        answer_page(newcomer)  # we ask before we sign anybody out
        assert newcomer.page.title == "Left"
        newcomer.browser.open(members)
        assert newcomer.page.url.startswith(f"{deployment.issuer}/signin")


def test_answer_by_form(deployment: Deployment, newcomer: Person) -> None:
    with apache(deployment, mode="form_post") as origin:
        assert arrive(newcomer, f"{origin}/members/index.shtml")["name"] == NAME


@pytest.mark.parametrize("method", ["client_secret_post", "private_key_jwt"])
def test_sign_in_with_other_credentials(deployment: Deployment, newcomer: Person, method: str) -> None:
    with apache(deployment, method=method) as origin:
        assert arrive(newcomer, f"{origin}/members/index.shtml")["name"] == NAME
