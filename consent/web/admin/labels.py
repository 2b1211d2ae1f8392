"""Words that only administrators read: what was done to clients and to the service, keys, who acted."""

from collections.abc import Iterable

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from consent import supervision
from consent.clients import AuthMethod, ClientClass, Profile, Standing
from consent.interventions import COMMAND
from consent.keys import KeyUse
from consent.supervision import Masked
from consent.web import words
from consent.web.words import Label
from dataspace.measured import Measured
from dataspace.sources.incoming import Reason
from dataspace.web.shell import services

CLIENT_EVENTS: dict[str, tuple[Label, str]] = {
    "client:registered": (lazy_gettext("Third party registered"), "good"),
    "client:changed": (lazy_gettext("Third party changed"), ""),
    "client:purpose_approved": (lazy_gettext("Purpose approved"), "good"),
    "client:secret_replaced": (lazy_gettext("Secret of the third party replaced"), "caution"),
    "client:suspended": (lazy_gettext("Third party suspended"), "danger"),
    "client:reinstated": (lazy_gettext("Third party reinstated"), "good"),
    "client:deleted": (lazy_gettext("Third party deleted"), "danger"),
    "client:confirmed": (lazy_gettext("Somebody has made sure who the third party is"), "good"),
    "client:unconfirmed": (lazy_gettext("The third party has changed what was checked of it"), "caution"),
    "client:purpose_proposed": (lazy_gettext("Purpose proposed"), "waiting"),
    "client:purpose_refused": (lazy_gettext("Purpose refused"), "danger"),
}
OPERATOR_EVENTS: dict[str, tuple[Label, str]] = {
    "keys:generated": (lazy_gettext("Keys generated"), ""),
    "keys:rotated": (lazy_gettext("Keys rotated"), "caution"),
    "wrapping_keys:rotated": (lazy_gettext("Wrapping key changed"), "caution"),
    "wrapping_keys:forgotten": (lazy_gettext("Wrapping key destroyed"), "caution"),
    "log:begun": (lazy_gettext("The log of evidence was ended, and another begun"), "caution"),
    "rules:loaded": (lazy_gettext("New rules loaded"), "caution"),
    "rules:cancelled": (lazy_gettext("Rules taken back before they were in force"), "caution"),
    "power:entered": (lazy_gettext("A power to read by law was entered"), "waiting"),
    "power:approved": (lazy_gettext("A power to read by law was approved"), "caution"),
    "power:refused": (lazy_gettext("A power to read by law was not approved"), ""),
    "power:suspended": (lazy_gettext("A power to read by law was suspended"), "suspended"),
    "power:resumed": (lazy_gettext("A power to read by law goes on"), "caution"),
    "power:ended": (lazy_gettext("A power to read by law was ended"), ""),
    "events:sent_again": (lazy_gettext("Notices to third parties sent again"), ""),
    "mails:sent_again": (lazy_gettext("Mail to holders sent again"), ""),
    "invitation:issued": (lazy_gettext("Leave to register issued"), ""),
    "invitation:revoked": (lazy_gettext("Leave to register revoked"), "caution"),
    "holder:died": (lazy_gettext("A death was written down"), "danger"),
    "holder:alive": (lazy_gettext("A death was written down by mistake"), "caution"),
    "record:erased": (lazy_gettext("A record was deleted for good"), "danger"),
    "certificate:frozen": (lazy_gettext("A certificate was frozen"), "caution"),
    "certificate:thawed": (lazy_gettext("A certificate can be used again"), "good"),
    "certificate:revoked": (lazy_gettext("A certificate was revoked for good"), "danger"),
    "space:erased": (lazy_gettext("A whole space was deleted"), "danger"),
    "space:kept": (lazy_gettext("Deleting a space was refused"), ""),
    "evidence:packed": (lazy_gettext("A package of evidence about an authorization was made"), ""),
    "holder:searched": (lazy_gettext("A holder was looked for by identifier"), ""),
}
MEASURED: dict[Measured, Label] = {
    Measured.ENTRY_TO_PROOF: lazy_gettext("Something happens – it can be proven"),
    Measured.READ_AFTER_WITHDRAWAL: lazy_gettext("An authorization is stopped – the last read that is still answered"),
    Measured.IMPORT: lazy_gettext("The import of a file begins – all records are in"),
    Measured.ROTATION: lazy_gettext("The wrapping key is changed – everything is wrapped anew"),
}
STANDINGS: dict[str, tuple[Label, str]] = {
    Standing.GOOD: (lazy_gettext("Good standing"), "good"),
    Standing.SUSPENDED: (lazy_gettext("Suspended"), "suspended"),
    Standing.DELETED: (lazy_gettext("Deleted"), "quiet"),
}
UNCHECKED = (lazy_gettext("Registered itself, not checked"), "caution")
PROFILES: dict[str, Label] = {
    Profile.DATA: lazy_gettext("Reads data"),
    Profile.LOGIN: lazy_gettext("Sign-in only"),
}
CLASSES: dict[str, Label] = {
    ClientClass.NONE: lazy_gettext("None of these"),
    ClientClass.BANK: lazy_gettext("Bank"),
    ClientClass.INSURER: lazy_gettext("Insurer"),
    ClientClass.HOSPITAL: lazy_gettext("Hospital"),
    ClientClass.SCHOOL: lazy_gettext("School"),
    ClientClass.AUTHORITY: lazy_gettext("Authority"),
    ClientClass.LANDLORD: lazy_gettext("Landlord"),
    ClientClass.EMPLOYMENT: lazy_gettext("Employer or recruiter"),
    ClientClass.PROCUREMENT: lazy_gettext("Procurement"),
    ClientClass.PLATFORM: lazy_gettext("Platform"),
    ClientClass.AGENT: lazy_gettext("A body's own software"),
}
METHODS: dict[str, Label] = {
    AuthMethod.PRIVATE_KEY_JWT: lazy_gettext("Own key (private_key_jwt)"),
    AuthMethod.SECRET_BASIC: lazy_gettext("Secret in the header (client_secret_basic)"),
    AuthMethod.SECRET_POST: lazy_gettext("Secret in the form (client_secret_post)"),
    AuthMethod.TLS: lazy_gettext("Certificate of an authority (tls_client_auth)"),
    AuthMethod.SELF_SIGNED_TLS: lazy_gettext("Certificate of its own (self_signed_tls_client_auth)"),
}
KEY_USES: dict[str, Label] = {
    KeyUse.TOKENS: lazy_gettext("Tokens and answers"),
    KeyUse.ID_TOKEN: lazy_gettext("ID tokens"),
    KeyUse.RECORDS: lazy_gettext("Consent records"),
}
KEY_STATES: dict[str, tuple[Label, str]] = {
    "next": (lazy_gettext("Published, signs later"), "waiting"),
    "current": (lazy_gettext("Signs now"), "good"),
    "retired": (lazy_gettext("Verifies only"), "quiet"),
    "removed": (lazy_gettext("Removed"), "quiet"),
}
OUTCOMES: dict[str, Label] = {"answered": lazy_gettext("Answered"), "refused": lazy_gettext("Refused")}
# Why a read was refused, beyond the reasons for which a consent is inactive.
REFUSALS: dict[str, Label] = {
    "item_not_granted": lazy_gettext("Asked for data that was not granted"),
    "data_erased": lazy_gettext("The data of the space is erased"),
    "power_ended": lazy_gettext("The power to read by law is not in force"),
    "power_suspended": lazy_gettext("The power to read by law is suspended"),
    "outside_power": lazy_gettext("Asked for more than its power to read by law names"),
    "case_limit_reached": lazy_gettext("The case has had its reads by law"),
    "day_limit_reached": lazy_gettext("The power has had its reads of the day"),
}


def event(kind: str) -> tuple[str, str]:
    """What happened, and the tone of it."""
    label, tone = (words.EVENTS | CLIENT_EVENTS | OPERATOR_EVENTS).get(kind, (kind, ""))
    return str(label), tone


def refusal(reason: str | None) -> str:
    """Why a read was refused; the code itself for a reason without words."""
    if reason in words.WHY:
        return str(words.WHY[reason][0])
    return str(REFUSALS.get(reason or "", reason or ""))


def people(person_ids: Iterable[str | None]) -> dict[str, Masked]:
    """Everybody who is named on a page, masked, in one statement."""
    return supervision.masked((p for p in person_ids if p and p != COMMAND), vault=services().vault)


def described(holder: Masked | None) -> str:
    """A masked holder in one line; empty for none, and for one whose key was destroyed."""
    return f"{holder.name} · {holder.identifier}" if holder else ""


def actor(person_id: str | None, capacity: str | None, known: dict[str, Masked]) -> str:
    """Who did something: masked name and capacity; empty when nobody did."""
    if not person_id:
        return ""
    if person_id == COMMAND:
        return str(_("Command line"))
    name = known[person_id].name if person_id in known else person_id
    return f"{name} · {words.CAPACITIES[capacity]}" if capacity in words.CAPACITIES else name


SOURCE_KINDS: dict[str, Label] = {
    "http": lazy_gettext("Asked over the network"),
    "file": lazy_gettext("Leaves a file"),
    "push": lazy_gettext("Brings by itself"),
    "command": lazy_gettext("Imported by command"),
}
REJECTIONS: dict[str, Label] = {
    Reason.NOT_UTF8: lazy_gettext("Not in the expected encoding"),
    Reason.TOO_LONG: lazy_gettext("Line too long"),
    Reason.TRUNCATED: lazy_gettext("Cut off"),
    Reason.NOT_JSON: lazy_gettext("Not JSON"),
    Reason.NOT_CSV: lazy_gettext("Not CSV"),
    Reason.COLUMNS: lazy_gettext("Other columns than the first line"),
    Reason.DUPLICATE_KEY: lazy_gettext("A name stands twice"),
    Reason.NOT_A_RECORD: lazy_gettext("Not a record"),
    Reason.TOO_MANY_ROWS: lazy_gettext("Too many rows"),
    Reason.UNKNOWN_ITEM: lazy_gettext("Not in the catalogue"),
    Reason.FOREIGN_ITEM: lazy_gettext("Belongs to another authority or source"),
    Reason.INVALID_IDENTIFIER: lazy_gettext("The identifier is not valid"),
    Reason.INVALID_AS_OF: lazy_gettext("The time is not valid"),
    Reason.AS_OF_IN_FUTURE: lazy_gettext("The time lies in the future"),
    Reason.CONTROL_CHARACTER: lazy_gettext("Control characters in a value"),
    Reason.FORMULA: lazy_gettext("A value that a spreadsheet would run"),
    Reason.INVALID_VALUE: lazy_gettext("A value that does not fit the catalogue"),
    Reason.UNKNOWN_HOLDER: lazy_gettext("Nobody with this identifier has a space here"),
    Reason.OLDER: lazy_gettext("Older than what is there"),
    Reason.ERASED: lazy_gettext("Deleted here, and this one is not newer"),
    Reason.CONTRADICTS: lazy_gettext("Another value for the same time, not marked as a correction"),
    Reason.UNKNOWN_CASE: lazy_gettext("No open case of this number asks for a correction of this record"),
}
