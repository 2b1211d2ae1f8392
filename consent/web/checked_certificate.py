"""A certificate that was checked, in words: what does not match, or whose it is, what it shows and what it is worth."""

import datetime as dt
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from consent.certificate_check import Bound, Genuine, Refusal, Worth, Wrong
from consent.certificate_issue import ABOUT, DATA
from consent.web import certificate_view, words
from consent.web.words import Label
from dataspace.catalogue import in_language
from dataspace.web.values import between, one, plain

Strip = tuple[str, str, str]  # sentence, tone, title
WRONG: dict[Wrong, tuple[Label, Label]] = {
    Wrong.UNREADABLE: (
        lazy_gettext(
            "This is no certificate, or a part of it is missing or too long. Bring all of its text, as it was shown or "
            "downloaded."
        ),
        lazy_gettext("Cannot be read"),
    ),
    Wrong.FOREIGN: (lazy_gettext("It is signed, but not by us. Do not rely on it."), lazy_gettext("Not from here")),
    Wrong.SIGNATURE: (
        lazy_gettext(
            "Our signature does not match: what we had signed was changed, or we never signed it. Do not rely on it."
        ),
        lazy_gettext("Altered"),
    ),
    Wrong.KIND: (
        lazy_gettext("The signature is ours, but this is no certificate over data. Do not rely on it."),
        lazy_gettext("Not a certificate"),
    ),
    Wrong.ISSUER: (
        lazy_gettext("The signature is ours, but it names another issuer: %(name)s. Do not rely on it."),
        lazy_gettext("Another issuer"),
    ),
    Wrong.DISCLOSURE: (
        lazy_gettext(
            "What is shown does not match what was signed: the field “%(name)s” was changed or added, or is shown "
            "twice. Do not rely on it."
        ),
        lazy_gettext("Altered"),
    ),
    Wrong.BINDING: (
        lazy_gettext(
            "The signature of whoever showed it does not match: it is not their own, or they had shown something else. "
            "Do not rely on it."
        ),
        lazy_gettext("Shown by somebody else"),
    ),
}
WORTH: dict[Worth, tuple[Label, str, Label]] = {
    Worth.VALID: (lazy_gettext("At this moment it is neither frozen nor revoked."), "good", lazy_gettext("Valid")),
    Worth.EXPIRED: (lazy_gettext("Its time is over. Do not rely on it."), "danger", lazy_gettext("Expired")),
    Worth.FROZEN: (
        lazy_gettext("It is frozen: do not rely on it unless it is released again."),
        "danger",
        lazy_gettext("Frozen"),
    ),
    Worth.ENDED: (
        lazy_gettext("It was revoked, or has ended before its time. Do not rely on it."),
        "danger",
        lazy_gettext("Not valid any more"),
    ),
    Worth.SUPERSEDED: (certificate_view.SUPERSEDED, "danger", lazy_gettext("Not valid any more")),
    Worth.UNKNOWN: (
        lazy_gettext("We have no record of it any more: whether it was frozen or revoked is not known."),
        "caution",
        lazy_gettext("Not known here"),
    ),
}
BOUND: dict[Bound, Label] = {
    Bound.TO_NOBODY: lazy_gettext("It is bound to no key: whoever has the file can show it."),
    Bound.UNPROVEN: lazy_gettext("It is bound to a key, and nobody has proven to hold it: it may be a copy."),
}


@dataclass(frozen=True, kw_only=True)
class Checked:
    """``strips``: what came out, first of all. The rest is empty unless it is genuine."""

    strips: list[Strip]
    title: str = ""
    facts: list[tuple[str, str]]
    data: list[tuple[str, str]]
    about: list[tuple[str, str]]
    hidden: int = 0


def of(finding: Genuine | Refusal, locale: str) -> Checked:
    """What a page says of it."""
    if isinstance(finding, Refusal):
        return Checked(strips=[_wrong(finding, locale)], facts=[], data=[], about=[])
    said = finding.content
    item, labels = said["item"], said["labels"]
    data, about = (finding.shown.get(place, {}) for place in (DATA, ABOUT))
    authority = in_language(item["source"]["authority"], locale)
    period = between(item["period"]["from"], item["period"]["to"]) if item["period"] else ""
    strips = [_genuine(), _worth(finding), *_used(finding), _log(finding), _shower(finding)]
    return Checked(
        strips=sorted(strips, key=lambda strip: strip[1] != "danger"),  # that first
        title=in_language(item["label"], locale),
        facts=[
            (str(_("Source")), authority),
            (str(_("As of")), item["as_of"][:10]),
            (str(_("Period")), period),
            (str(_("Signed by")), plain(said["iss"])),
            (str(_("Made")), _day(said["iat"])),
            (str(_("Valid until")), _day(said["exp"])),
            (str(_("Number")), said["certificate_no"]),
        ],
        data=[
            (plain(in_language(labels[n], locale)), certificate_view.value(data[n], locale))
            for n in labels
            if n in data
        ],
        about=[
            (str(label), certificate_view.value(about[name], locale))
            for name, label in certificate_view.ABOUT.items()
            if name in about
        ],
        hidden=finding.hidden,
    )


def _wrong(refusal: Refusal, locale: str) -> Strip:
    """What does not match, in one sentence. A name may be anybody's: it is cut, and escaped where it is shown."""
    sentence, title = WRONG[refusal.wrong]
    tone = "caution" if refusal.wrong is Wrong.UNREADABLE else "danger"
    name = in_language(refusal.label, locale) if refusal.label else certificate_view.ABOUT.get(refusal.named)
    return str(sentence) % {"name": str(name or (one(refusal.named[:60]) if refusal.named else "?"))}, tone, str(title)


def _genuine() -> Strip:
    return str(_("It is from here, and nothing that it shows was changed.")), "good", str(_("Genuine"))


def _worth(finding: Genuine) -> Strip:
    sentence, tone, title = WORTH[finding.worth]
    return str(sentence), tone, str(title)


def _used(finding: Genuine) -> list[Strip]:
    sentence = _("It was used before: opened by somebody, or reported as used.")
    return [(str(sentence), "info", str(_("Used")))] if finding.used else []


def _log(finding: Genuine) -> Strip:
    if finding.index is not None:
        sentence = _("That it was made is entry %(number)s of our public log.", number=finding.index)
        return str(sentence), "good", str(_("In the public log"))
    sentence = _("Our public log has no entry of it by now. One that was just made has it within seconds.")
    return str(sentence), "caution", str(_("Not in the public log"))


def _shower(finding: Genuine) -> Strip:
    title = str(_("Who may show it"))
    if finding.bound is Bound.PROVEN:
        name = one(finding.audience[:200])
        return str(_("Whoever showed it has signed that it is their own, for %(name)s.", name=name)), "info", title
    return str(BOUND[finding.bound]), "info", title


def _day(seconds: int) -> str:
    return words.date(dt.datetime.fromtimestamp(seconds, dt.UTC))
