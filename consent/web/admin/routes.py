"""Every address of administration; each is only for people who act as administrator."""

from flask import Blueprint

from consent.web.admin import (
    activity,
    cases,
    certificates,
    client_options,
    clients,
    consents,
    deaths,
    erasures,
    invitations,
    keys,
    lost_mail,
    operation,
    powers,
    records,
    rules,
    sources,
    undelivered,
)
from dataspace.web.signin import require_administrator

ROUTES = (
    ("GET", "", "index", consents.index),
    ("POST", "/find", "find", consents.find),
    ("GET", "/consents.csv", "export", consents.export),
    ("GET", "/consents/<consent_id>", "consent", consents.show),
    ("POST", "/consents/<consent_id>/revoke", "revoke", consents.revoke),
    ("POST", "/consents/<consent_id>/suspend", "suspend", consents.suspend),
    ("POST", "/consents/<consent_id>/reinstate", "reinstate", consents.reinstate),
    ("POST", "/consents/<consent_id>/withdraw", "withdraw", consents.withdraw),
    ("POST", "/consents/<consent_id>/evidence", "evidence_package", consents.evidence_package),
    ("GET", "/consents/<consent_id>/evidence/<package_id>.zip", "fetch_package", consents.fetch_package),
    ("POST", "/consents/<consent_id>/evidence/<package_id>/discard", "discard_package", consents.discard_package),
    ("GET", "/certificates", "certificates", certificates.index),
    ("GET", "/certificates/<certificate_id>", "certificate", certificates.show),
    ("POST", "/certificates/<certificate_id>", "decide_certificate", certificates.decide),
    ("GET", "/records/<record_id>", "record", records.show),
    ("POST", "/records/<record_id>", "erase_record", records.erase),
    ("GET", "/clients", "clients", clients.index),
    ("GET", "/register-client", "new_client", clients.new),
    ("POST", "/register-client", "register_client", clients.register),
    ("GET", "/clients/<client_id>", "client", clients.show),
    ("GET", "/clients/<client_id>/edit", "edit_client", clients.edit),
    ("POST", "/clients/<client_id>/edit", "change_client", clients.change),
    ("GET", "/clients/<client_id>/options", "client_options", client_options.edit),
    ("POST", "/clients/<client_id>/options", "change_client_options", client_options.change),
    ("POST", "/clients/<client_id>/standing", "client_standing", clients.change_standing),
    ("POST", "/clients/<client_id>/confirm", "confirm_client", clients.confirm),
    ("POST", "/clients/<client_id>/secret", "client_secret", clients.replace_secret),
    ("POST", "/clients/<client_id>/purposes/<code>", "decide_purpose", clients.decide_purpose),
    ("GET", "/invitations", "invitations", invitations.index),
    ("POST", "/invitations", "issue_invitation", invitations.issue),
    ("POST", "/invitations/<digest>/revoke", "revoke_invitation", invitations.revoke),
    ("POST", "/clients/<client_id>/verify", "verify_client", undelivered.verify),
    ("GET", "/undelivered", "undelivered", undelivered.index),
    ("POST", "/undelivered/again", "send_again", undelivered.send_again),
    ("GET", "/undelivered/mail", "lost_mail", lost_mail.index),
    ("POST", "/undelivered/mail/again", "send_mail_again", lost_mail.send_again),
    ("GET", "/deaths", "deaths", deaths.index),
    ("POST", "/deaths", "record_death", deaths.record),
    ("POST", "/deaths/<death_id>/revoke", "revoke_death", deaths.revoke),
    ("GET", "/erasures", "erasures", erasures.index),
    ("POST", "/erasures/<erasure_id>", "decide_erasure", erasures.decide),
    ("GET", "/activity", "activity", activity.index),
    ("GET", "/operation", "operation", operation.index),
    ("GET", "/cases", "cases", cases.index),
    ("GET", "/cases/<case_id>", "case", cases.show),
    ("POST", "/cases/<case_id>/forward", "forward_case", cases.forward),
    ("POST", "/cases/<case_id>/answer", "answer_case", cases.answer),
    ("GET", "/rules", "rules", rules.index),
    ("POST", "/rules/preview", "preview_rules", rules.preview),
    ("POST", "/rules", "load_rules", rules.load),
    ("POST", "/rules/<version>/cancel", "cancel_rules", rules.cancel),
    ("GET", "/powers", "powers", powers.index),
    ("POST", "/powers", "enter_powers", powers.enter),
    ("GET", "/powers/<power_id>/<int(max=2147483647):version>", "power", powers.show),
    ("POST", "/powers/<power_id>/<int(max=2147483647):version>", "decide_power", powers.decide),
    ("GET", "/sources", "sources", sources.index),
    ("GET", "/sources/<source_id>", "source", sources.show),
    ("GET", "/deliveries", "delivery", sources.delivery),
    ("GET", "/keys", "keys", keys.index),
    ("POST", "/keys/rotate", "rotate_keys", keys.rotate),
)


def _blueprint() -> Blueprint:
    made = Blueprint("admin", __name__, url_prefix="/admin")
    for method, rule, endpoint, view in ROUTES:
        made.add_url_rule(rule, endpoint, require_administrator(view), methods=[method])
    return made


bp = _blueprint()
