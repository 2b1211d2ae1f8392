"""Labels of states, reasons, events, capacities and terms in the reader's language; what pages say instead of codes.

How values and periods are written is in :mod:`dataspace.web.values`.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from flask_babel import format_date, get_locale, lazy_gettext, ngettext
from flask_babel import gettext as _

from consent.asks import Ask
from consent.records import Event, Inactive, Reason, State
from dataspace.holders import HolderKind
from dataspace.mandates import Capacity
from dataspace.web import values

Label = Any  # a LazyString: becomes text when it is shown

STATES: dict[str, Label] = {
    State.REQUESTED: lazy_gettext("Asked for"),
    State.REFUSED: lazy_gettext("Refused"),
    State.PENDING_APPROVAL: lazy_gettext("Waiting for approval"),
    State.ACTIVE: lazy_gettext("Active"),
    State.PAUSED: lazy_gettext("Paused"),
    State.SUSPENDED: lazy_gettext("Suspended"),
    State.PAUSED_SUSPENDED: lazy_gettext("Paused and suspended"),
    State.WITHDRAWN: lazy_gettext("Stopped"),
    State.EXPIRED: lazy_gettext("Expired"),
    State.EXHAUSTED: lazy_gettext("Used up"),
    State.TERMINATED: lazy_gettext("Ended"),
    State.INVALIDATED: lazy_gettext("Revoked"),
    State.REJECTED: lazy_gettext("Not approved"),
    State.LAPSED: lazy_gettext("Lapsed"),
}

# Why an authorization is not active: its badge, the tone of the badge, and the sentence that explains it.
WHY: dict[str, tuple[Label, str, Label]] = {
    Reason.REFUSED: (STATES[State.REFUSED], "refused", lazy_gettext("It was refused. Nothing was given.")),
    Reason.PENDING: (
        STATES[State.PENDING_APPROVAL],
        "waiting",
        lazy_gettext("A second person has to approve it. Nothing can be read until then."),
    ),
    Reason.REJECTED: (
        STATES[State.REJECTED],
        "ended",
        lazy_gettext("The second person did not approve it. Nothing was given."),
    ),
    Reason.LAPSED: (
        STATES[State.LAPSED],
        "ended",
        lazy_gettext("Nobody approved it within 72 hours. Nothing was given."),
    ),
    Reason.NOT_YET_VALID: (lazy_gettext("Not yet valid"), "waiting", lazy_gettext("Its time has not begun yet.")),
    Reason.WITHDRAWN: (
        STATES[State.WITHDRAWN],
        "ended",
        lazy_gettext("It was stopped from your side. Nothing has been readable since."),
    ),
    Reason.EXPIRED: (STATES[State.EXPIRED], "ended", lazy_gettext("Its time is over. Nothing can be read any more.")),
    Reason.PAUSED: (
        STATES[State.PAUSED],
        "paused",
        lazy_gettext("It is paused. Nothing can be read until it resumes."),
    ),
    Reason.SUSPENDED: (
        STATES[State.SUSPENDED],
        "suspended",
        lazy_gettext("A supervisor suspended it. Nothing can be read until it is reinstated."),
    ),
    Reason.TERMINATED: (
        STATES[State.TERMINATED],
        "ended",
        lazy_gettext("It ended because one of its parties is gone."),
    ),
    Reason.INVALIDATED: (
        STATES[State.INVALIDATED],
        "invalidated",
        lazy_gettext("An administrator revoked it. Nothing can be read any more."),
    ),
    Reason.QUOTA_EXHAUSTED: (
        STATES[State.EXHAUSTED],
        "ended",
        lazy_gettext("It has been used as often as was allowed."),
    ),
    Reason.CLIENT_SUSPENDED: (
        lazy_gettext("Third party suspended"),
        "suspended",
        lazy_gettext("The third party is suspended. It can read nothing until it is reinstated."),
    ),
    Reason.MANDATE_ENDED: (
        lazy_gettext("Mandate ended"),
        "ended",
        lazy_gettext("The mandate under which it was given has ended. Nothing can be read any more."),
    ),
    Reason.SPACE_CLOSED: (lazy_gettext("Space closed"), "ended", lazy_gettext("The data space is closed.")),
}

EVENTS: dict[str, tuple[Label, str]] = {
    Event.REQUESTED: (lazy_gettext("The third party asked"), ""),
    Event.PAGE_OPENED: (lazy_gettext("The request was opened"), ""),
    Event.REFUSED: (lazy_gettext("Refused"), "danger"),
    Event.GIVEN: (lazy_gettext("Agreed"), "good"),
    Event.REPLACED: (lazy_gettext("Replaced by a new agreement"), "good"),
    Event.ITEM_RECONFIRMED: (lazy_gettext("Decided again on data that is sensitive now"), "good"),
    Event.CO_APPROVAL_PENDING: (lazy_gettext("Prepared; waits for a second person"), "caution"),
    Event.CO_APPROVED: (lazy_gettext("Approved by a second person"), "good"),
    Event.CO_REJECTED: (lazy_gettext("Not approved by a second person"), "danger"),
    Event.PAUSED: (lazy_gettext("Paused"), "caution"),
    Event.RESUMED: (lazy_gettext("Resumed"), "good"),
    Event.WITHDRAWN: (lazy_gettext("Stopped"), "caution"),
    Event.SUSPENDED: (lazy_gettext("Suspended by a supervisor"), "danger"),
    Event.REINSTATED: (lazy_gettext("Reinstated by a supervisor"), "good"),
    Event.INVALIDATED: (lazy_gettext("Revoked by an administrator"), "danger"),
    Event.EXPIRED: (lazy_gettext("Expired"), ""),
    Event.EXHAUSTED: (lazy_gettext("Used as often as allowed"), ""),
    Event.TERMINATED: (lazy_gettext("Ended because one of its parties is gone"), ""),
    Event.LAPSED: (lazy_gettext("Lapsed: nobody approved it in time"), ""),
    Event.ITEM_WITHDRAWN: (lazy_gettext("One item stopped"), "caution"),
    Event.SHORTENED: (lazy_gettext("The end was brought forward"), "caution"),
    Event.EXPIRY_ANNOUNCED: (lazy_gettext("You were told that it ends soon"), ""),
    Event.REMINDED: (lazy_gettext("You were reminded that it is still there"), ""),
    Event.RECONFIRMED: (lazy_gettext("Kept as it is"), "good"),
    Event.DELETION_REQUESTED: (lazy_gettext("Asked the third party to delete what it received"), ""),
    Event.DELETION_CONFIRMED: (lazy_gettext("The third party confirmed that it has deleted everything"), "good"),
    Event.DELETION_OVERDUE: (lazy_gettext("The third party has not confirmed in time that it deleted it"), "danger"),
}

CAPACITIES: dict[str, Label] = {
    Capacity.SELF: lazy_gettext("for oneself"),
    Capacity.LEGAL_REPRESENTATIVE: lazy_gettext("legal representative"),
    Capacity.AGENT: lazy_gettext("agent"),
    Capacity.GUARDIAN: lazy_gettext("guardian"),
    Capacity.ADMINISTRATOR: lazy_gettext("administrator"),
}

# Why a read was refused, beyond the reasons for which a consent is inactive.
REFUSALS: dict[str, Label] = {
    "invalid_token": lazy_gettext("It came in another way than the one agreed with it."),
    "invalid_dpop_proof": lazy_gettext("It could not prove that it is the one that was authorized."),
    "insufficient_scope": lazy_gettext("It serves only for signing in. It was given no data."),
    "item_not_granted": lazy_gettext("It asked for data that it was not given."),
    "insufficient_user_authentication": lazy_gettext("Your sign-in was too long ago for sensitive data."),
    "frequency_exceeded": lazy_gettext("It wanted to read more often than was allowed."),
    "power_ended": lazy_gettext("The law it named gives it no right to this now."),
    "power_suspended": lazy_gettext("An administrator has suspended its right to read by law."),
    "outside_power": lazy_gettext("It wanted more than the law it named allows."),
    "case_limit_reached": lazy_gettext("It had read as often as it may in one case."),
    "day_limit_reached": lazy_gettext("It had read by law as often as it may in one day."),
    "item_regraded": lazy_gettext("It wanted an item on which you have to decide again."),
    "item_verify_only": lazy_gettext("It wanted to read what it may only compare."),
    "view_only": lazy_gettext("It wanted to keep what it may only look at."),
    "purpose_mismatch": lazy_gettext("It named another purpose than the one you agreed to."),
    "case_required": lazy_gettext("It did not say for which case, as this purpose asks of every read."),
    "case_mismatch": lazy_gettext("It named another case than the one you agreed to."),
    "too_many_comparisons": lazy_gettext("It wanted to compare too often in one day."),
    "data_erased": lazy_gettext("The data of this space has been erased."),
    "invalid_cursor": lazy_gettext("It wanted to go on with a read that was over."),
    "no_encryption_key": lazy_gettext("It has registered no key with which the answer could be encrypted for it."),
    "not_certifiable": lazy_gettext("It wanted a certificate of data of which none can be made."),
    "too_many_certificates": lazy_gettext("It had as many certificates from this authorization as it may have."),
}

HOLDER_KINDS: dict[str, Label] = {
    HolderKind.NATURAL_PERSON: lazy_gettext("natural persons"),
    HolderKind.LEGAL_ENTITY: lazy_gettext("legal entities"),
    HolderKind.UNINCORPORATED: lazy_gettext("unincorporated bodies"),
}

MODES: dict[str, Label] = {
    "one_time": lazy_gettext("To receive a copy"),
    "periodic": lazy_gettext("Repeatedly"),
    "view_once": lazy_gettext("To look only, without keeping a copy"),
}

# In what form an item leaves, if not as it is: in two words, and in a sentence.
DELIVERIES: dict[str, tuple[Label, Label]] = {
    "derived": (
        lazy_gettext("Answer only"),
        lazy_gettext("They get only this answer, not the data behind it."),
    ),
    "view_only": (lazy_gettext("Look only"), lazy_gettext("Only to look at. They may keep no copy.")),
    "verify_only": (
        lazy_gettext("Compare only"),
        lazy_gettext("They may only compare what they have. They learn yes or no; nothing else leaves."),
    ),
}

AUTOMATED: dict[str, Label] = {
    "none": "",
    "assisted": lazy_gettext("A computer prepares the decision; a person takes it."),
    "solely": lazy_gettext("A computer alone takes the decision. You may ask for a person to look at it: %(contact)s."),
}

# What a sign-in tells, in the person's words; several claims may be one fact.
_STATED: Label = lazy_gettext("what you say of yourself (nickname, picture, pages, language, time zone)")
CLAIMS: dict[str, Label] = {
    "name": lazy_gettext("your name"),
    "family_name": lazy_gettext("your name"),
    "given_name": lazy_gettext("your name"),
    "middle_name": lazy_gettext("your name"),
    "gender": lazy_gettext("your sex"),
    "birthdate": lazy_gettext("your date of birth"),
    "email": lazy_gettext("your e-mail address"),
    "email_verified": lazy_gettext("your e-mail address"),
    "phone_number": lazy_gettext("your phone number"),
    "phone_number_verified": lazy_gettext("your phone number"),
    "address": lazy_gettext("your postal address"),
    "updated_at": lazy_gettext("of what day these are"),
}

THIRD_PARTY_ROLES: dict[str, Label] = {
    "processor": lazy_gettext("works on its behalf"),
}


def learned(claims: tuple[str, ...], *, public: bool) -> list[str]:
    """What a sign-in tells the third party, each fact once. ``public``: under the name that others know as well."""
    known_as = (
        _("a number that stands for you, there and wherever else it is known")
        if public
        else _("a number that stands for you there and nowhere else")
    )
    return [*facts(claims), str(known_as)]


def facts(claims: Iterable[str]) -> list[str]:
    """What claims tell, each fact once; several may be one fact."""
    return list(dict.fromkeys(str(CLAIMS.get(name, _STATED)) for name in claims))


def standing(inactive: Inactive | None) -> tuple[str, str]:
    """The badge of a consent and its tone."""
    if inactive is None:
        return str(STATES[State.ACTIVE]), "active"
    label, tone, _sentence = WHY[inactive.reason]
    return str(label), tone


def why(reason: str) -> str:
    """The sentence that explains why a consent is inactive or a read was refused."""
    if reason in WHY:
        return str(WHY[reason][2])
    return str(REFUSALS.get(reason) or _("The request was not in order."))


def paragraph(*sentences: str) -> str:
    """Sentences one after another; Chinese has no space between them."""
    return ("" if str(get_locale()).startswith("zh") else " ").join(filter(None, sentences))


def days(number: int) -> str:
    """A duration in days."""
    return str(ngettext("%(num)s day", "%(num)s days", number))


def remaining(until: dt.datetime, now: dt.datetime) -> str:
    """How much time is left, to the nearest day; below one day in whole hours."""
    left = until - now
    if left >= dt.timedelta(days=1):
        return days(round(left / dt.timedelta(days=1)))
    hours = max(int(left.total_seconds()) // 3600, 1)
    return str(ngettext("%(num)s hour", "%(num)s hours", hours))


def how_often(
    mode: str, max_reads: int | None, frequency: dict[str, Any] | None, deliveries: Collection[str] = (),
    *, case_required: bool = False,
) -> str:  # fmt: skip
    """Mode, number of reads and frequency in one sentence; no copy is promised to who may only compare."""
    with_case = str(_("each time with a case number")) if case_required else ""
    if mode == "periodic" and max_reads == 1:  # what was asked repeatedly, and given for one read
        return str(_(", ")).join(filter(None, (str(_("One read only; it ends with it")), with_case)))
    compared = set(deliveries) == {"verify_only"}
    parts = [str(_("Only to compare") if compared else MODES.get(mode, ""))]
    if frequency:
        parts.append(_frequency(int(frequency["n"]), str(frequency["unit"])))
    if max_reads is not None:
        parts.append(reads(max_reads))
    parts.append(with_case)
    return str(_(", ")).join(p for p in parts if p)


def use(said: Mapping[str, Any], deliveries: Collection[str] = ()) -> str:
    """The same of the use that the document of a consent names."""
    often = (said["mode"], said["max_reads"], said["frequency"], deliveries)
    return how_often(*often, case_required=said.get("case_required", False))


def reads(number: int | None) -> str:
    """How many reads are allowed in all; None for any number."""
    if number is None:
        return str(_("any number of reads"))
    return str(ngettext("at most %(num)s read in all", "at most %(num)s reads in all", number))


def frequency(often: Mapping[str, Any]) -> str:
    """So many times in a day, a week, ..."""
    return _frequency(int(often["n"]), str(often["unit"]))


def _frequency(number: int, unit: str) -> str:
    sentences = {
        "day": ngettext("at most %(num)s time a day", "at most %(num)s times a day", number),
        "week": ngettext("at most %(num)s time a week", "at most %(num)s times a week", number),
        "month": ngettext("at most %(num)s time a month", "at most %(num)s times a month", number),
        "quarter": ngettext("at most %(num)s time a quarter", "at most %(num)s times a quarter", number),
        "year": ngettext("at most %(num)s time a year", "at most %(num)s times a year", number),
    }
    return str(sentences.get(unit, ""))


def delivery(form: str, mode: str) -> tuple[str, str]:
    """In what form an item leaves, in two words and in a sentence; both empty for a copy of the data."""
    looks_only = form == "raw" and mode == "view_once"
    short, sentence = DELIVERIES.get("view_only" if looks_only else form, ("", ""))
    return str(short), str(sentence)


def unusual(ask: Ask, usual: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each respect in which a request goes beyond what is usual for its purpose (check C-09)."""
    usual_days, back, often = (usual.get(k) for k in ("duration_days", "look_back_months", "frequency"))
    if usual_days and ask.duration_days > usual_days:
        yield str(_("This is longer than usual for this purpose: usually %(days)s.", days=days(usual_days)))
    if back and any((i.months or 0) > back for i in ask.items):
        yield str(_("It looks further back than usual: usually %(days)s.", days=values.months_in_words(back)))
    if often and ask.mode == "periodic" and (ask.frequency is None or _a_year(ask.frequency) > _a_year(often)):
        yield str(_("It reads more often than usual: usually %(often)s.", often=_frequency(often["n"], often["unit"])))


def _a_year(frequency: Mapping[str, Any]) -> float:
    times: dict[str, float] = {"day": 365, "week": 52, "month": 12, "quarter": 4, "year": 1}
    return times[frequency["unit"]] * int(frequency["n"])


def kinds(holder_kinds: tuple[str, ...]) -> str:
    """For which kinds of holders a request is."""
    return str(_(", ")).join(str(HOLDER_KINDS[k]) for k in holder_kinds if k in HOLDER_KINDS)


def date(at: dt.datetime | dt.date) -> str:
    """A day in the reader's language and time zone."""
    return str(format_date(at, "long"))
