"""The form for what a client has registered beyond who it is, under the names of the specifications."""

import contextlib
from dataclasses import dataclass, field
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale, lazy_gettext
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from consent import clients, interventions
from consent.client_options import CHOICES, CIBA, DEVICE_CODE, KINDS, ClientOptions
from consent.clients import Client, InvalidClientData, InvalidOption
from consent.installation import Installation
from consent.interventions import ReasonMissing
from consent.web import grounds
from consent.web.logos import fetch_logos
from consent.web.words import Label
from consent.worker import SweepFailed
from dataspace import clock
from dataspace.db import db
from dataspace.web.shell import services
from dataspace.web.signin import the_actor
from dataspace.web.values import plain

LIST = tuple[str, ...]
_ALG = lazy_gettext("Empty: not signed unless asked for, then RS256, or ES256 for clients that read data.")
_OWN_ALG = lazy_gettext("Only this algorithm is taken from the third party. Empty: any that we accept.")
_NAME = lazy_gettext("For tls_client_auth: exactly one of the three names of its certificate.")
_PAGE = lazy_gettext("An https address, shown as a link where it asks.")
# Every option once, in groups: (title, {name: what it means}). A test compares them with the options that there are.
GROUPS: tuple[tuple[Label, dict[str, Label]], ...] = (
    (lazy_gettext("What holders see"), {
        "logo_uri": lazy_gettext("PNG, JPEG, GIF or WebP, at most 256 KiB; fetched once and shown from here."),
        "client_uri": _PAGE,
        "policy_uri": _PAGE,
        "tos_uri": _PAGE,
        "initiate_login_uri": lazy_gettext("Where a sign-in that begins here leads. An https address."),
        "contacts": lazy_gettext("One a line: telephone or e-mail of the people responsible."),
    }),
    (lazy_gettext("Sign-in"), {
        "application_type": lazy_gettext("native: an app on the holder's device, which returns to that device."),
        "grant_types": lazy_gettext(
            "One a line: authorization_code, refresh_token if it may refresh, %(device)s if it asks at a counter, "
            "%(ciba)s if it asks people who are elsewhere.",
            device=DEVICE_CODE,
            ciba=CIBA,
        ),
        "subject_type": lazy_gettext("pairwise: a name of its own per holder. A change makes its users strangers."),
        "sector_identifier_uri": lazy_gettext("The list of addresses that share one pairwise name. An https address."),
        "default_max_age": lazy_gettext("Seconds after which it wants a fresh sign-in. Empty: any age."),
        "require_auth_time": lazy_gettext("ID tokens always tell when the person signed in."),
        "default_acr_values": lazy_gettext("One a line: how it wants people to sign in if a request does not say."),
        "userinfo_signed_response_alg": lazy_gettext("Userinfo is signed with it. Empty: plain JSON."),
    }),
    (lazy_gettext("Requests and answers"), {
        "require_pushed_authorization_requests": lazy_gettext("Only requests that it has pushed are taken."),
        "require_signed_request_object": lazy_gettext("Only requests that it has signed are taken."),
        "request_object_signing_alg": _OWN_ALG,
        "request_uris": lazy_gettext("One a line: where its request objects may be fetched from. https addresses."),
        "authorization_signed_response_alg": _ALG,
        "introspection_signed_response_alg": _ALG,
        "data_encrypted_response_alg": lazy_gettext("What the data API answers is encrypted. Empty: not encrypted."),
        "data_encrypted_response_enc": lazy_gettext("Empty: A256GCM."),
        "backchannel_token_delivery_mode": lazy_gettext(
            "How it is answered when it asks people who are elsewhere: it polls. Empty: it does not ask so."
        ),
        "backchannel_authentication_request_signing_alg": lazy_gettext(
            "Requests to people who are elsewhere are taken only signed with it. Empty: signed or not."
        ),
    }),
    (lazy_gettext("Keys and certificates"), {
        "token_endpoint_auth_signing_alg": _OWN_ALG,
        "dpop_bound_access_tokens": lazy_gettext("It gets no tokens without a proof of its key."),
        "tls_client_certificate_bound_access_tokens": lazy_gettext("Its tokens are bound to its certificate."),
        "tls_client_auth_subject_dn": _NAME,
        "tls_client_auth_san_dns": _NAME,
        "tls_client_auth_san_uri": _NAME,
    }),
    (lazy_gettext("Telling it what has ended"), {
        "post_logout_redirect_uris": lazy_gettext("One a line: where people may be led after signing out."),
        "backchannel_logout_uri": lazy_gettext("Where it is told that a sign-in has ended. An https address."),
        "backchannel_logout_session_required": lazy_gettext("It needs to be told which sign-in has ended."),
        "consent_events_delivery": lazy_gettext("How it hears what became of a consent. Empty: it does not."),
        "consent_events_uri": lazy_gettext("Where that is sent, if it is pushed. An https address."),
    }),
    (lazy_gettext("Its program"), {
        "software_id": lazy_gettext("As the third party calls it; nothing depends on it."),
        "software_version": lazy_gettext("As the third party calls it; nothing depends on it."),
    }),
)  # fmt: skip


@dataclass(frozen=True)
class OptionsForm:
    """What was typed, by the name of the option, and what is wrong with it."""

    typed: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> "OptionsForm":
        """The posted form."""
        return cls({name: form.get(name, "").strip() for name in (*KINDS, "ground", "text")})

    @classmethod
    def showing(cls, client: Client) -> "OptionsForm":
        """The form as it opens."""
        options = ClientOptions.from_document(client.options)
        return cls({name: _typed(getattr(options, name)) for name in KINDS})

    def refused(self, error: InvalidClientData | ReasonMissing) -> "OptionsForm":
        """The same form with what is wrong, beside its field; what is wrong with the rest of the client, under ""."""
        name = error.field if isinstance(error, InvalidClientData) else "text"
        return OptionsForm(self.typed, {name if name in KINDS or name == "text" else "": _(error.sentence)})

    def options(self) -> ClientOptions:
        """As the client is to be registered. Raises InvalidOption for a number that is none."""
        return ClientOptions.from_document({name: self._value(name) for name in KINDS})

    def _value(self, name: str) -> Any:
        kind, text = KINDS[name], self.typed[name]
        if kind is bool:
            return text == "yes"
        if kind == LIST:
            return [line.strip() for line in text.splitlines() if line.strip()]
        if kind is str:
            return text
        if text and not (text.isascii() and text.isdigit() and len(text) < 12):
            raise InvalidOption("not a whole number", field=name)
        return int(text) if text else None


def edit(client_id: str) -> str:
    """The form."""
    client = clients.get(client_id)
    return _page(client, OptionsForm.showing(client))


def change(client_id: str) -> AnyResponse | tuple[str, int]:
    """Register other options."""
    form = OptionsForm.of(request.form)
    try:
        reason = interventions.state(form.typed["ground"], form.typed["text"], allowed=interventions.CHANGE)
        clients.change(
            client_id, {"options": form.options().to_document()}, clock.now(),
            actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text,
            here=Installation.of(services().settings),
        )  # fmt: skip
    except (InvalidClientData, ReasonMissing) as error:
        db.session.rollback()
        return _page(clients.get(client_id), form.refused(error)), error.status
    db.session.commit()
    with contextlib.suppress(SweepFailed):  # the worker tries again
        fetch_logos(client_id)
    flash(_("Saved."))
    return redirect(url_for("admin.client", client_id=client_id), 303)


def _page(client: Client, form: OptionsForm) -> str:
    return render_template(
        "admin/client_options.html",
        client=client,
        name=plain(client.name(str(get_locale()))),
        groups=GROUPS,
        kind_of={name: _kind(name) for name in KINDS},
        choices={name: [(word, word) for word in words] for name, words in CHOICES.items()},
        needed={name for name in CHOICES if getattr(ClientOptions(), name)},
        form=form,
        grounds=grounds.options(interventions.CHANGE),
    )


def _kind(name: str) -> str:
    """Which field it is on the page."""
    if name in CHOICES:
        return "choice"
    return {bool: "tick", LIST: "lines", str: "line"}.get(KINDS[name], "number")


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, tuple):
        return "\n".join(value)
    return "" if value is None else str(value)
