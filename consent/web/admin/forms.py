"""What the client forms send: columns of a client, and the reason that every change needs."""

import json
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from consent import interventions
from consent.clients import Client, InvalidClientData, InvalidKeys
from consent.interventions import Ground, ReasonMissing, Stated

LINES = ("address", "contact", "privacy_officer", "client_class")
IDENTITY = ("client_id", "uscc", "foreign_registration", "profile", "token_endpoint_auth_method",
            "id_token_signed_response_alg")  # fmt: skip
NAMES = ("zh_hans", "zh_hant", "en")


@dataclass(frozen=True)
class ClientForm:
    """What was typed, field by field, and what is wrong with it, by the name of the field."""

    typed: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> "ClientForm":
        """The posted form."""
        return cls({name: value.strip() for name, value in form.items() if name != "csrf_token"})

    @classmethod
    def showing(cls, client: Client) -> "ClientForm":
        """The form as it opens for a registered client."""
        lines = {name: getattr(client, name) or "" for name in (*LINES, "jwks_uri")}
        keys = json.dumps(client.jwks, indent=1) if client.jwks else ""
        return cls(lines | {"redirect_uris": "\n".join(client.redirect_uris), "jwks": keys})

    def refused(self, error: InvalidClientData | ReasonMissing) -> "ClientForm":
        """The same form with what is wrong."""
        name = error.field if isinstance(error, InvalidClientData) else "text"
        return ClientForm(self.typed, {name: _(error.sentence)})

    def reason(self, allowed: tuple[Ground, ...]) -> Stated:
        """Why. Raises ReasonMissing."""
        return interventions.state(self.typed.get("ground", ""), self.typed.get("text", ""), allowed=allowed)

    def changes(self) -> dict[str, Any]:
        """The columns that may change. Raises InvalidKeys when the keys are not JSON."""
        return {name: self.typed.get(name, "") for name in LINES} | {
            "redirect_uris": self.typed.get("redirect_uris", "").split(),
            "jwks": self._jwks(),
            "jwks_uri": self.typed.get("jwks_uri") or None,
        }

    def registration(self) -> dict[str, Any]:
        """All columns of a new client. Raises InvalidKeys."""
        names = {language: self.typed.get(f"legal_name.{language}", "") for language in NAMES}
        names = {language: name or names["zh_hans"] for language, name in names.items()}
        number, level = self.typed.get("accreditation_number", ""), self.typed.get("accreditation_level", "")
        identity = {name: self.typed.get(name, "") for name in IDENTITY}
        accreditation = {"number": number, "level": level} if number else {}
        return self.changes() | identity | {"legal_name": names, "accreditation": accreditation}

    def _jwks(self) -> dict[str, Any] | None:
        if not self.typed.get("jwks"):
            return None
        try:
            document = json.loads(self.typed["jwks"])
        except (ValueError, RecursionError):
            raise InvalidKeys("jwks is not JSON") from None
        if not isinstance(document, dict):
            raise InvalidKeys("jwks is not an object")
        return document
