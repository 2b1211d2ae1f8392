"""The faces of the service: what pages call the same thing for a person, a child and a company. Colours: style.css.

One table; templates say ``words.data`` and never ask whom they are for. Administrators act for no holder and need none.
"""

from types import MappingProxyType

from flask_babel import lazy_gettext

from dataspace.mandates import Capacity

CITIZEN, BUSINESS, ADMIN = "citizen", "business", "admin"
CHILD = "child"  # what a guardian looks at: the citizen's face in other words
WORDS = MappingProxyType(
    {
        CITIZEN: {
            "data": lazy_gettext("My data"),
            "authorizations": lazy_gettext("My authorizations"),
            "reads": lazy_gettext("Who read my data"),
            "cases": lazy_gettext("My cases"),
            "abroad": lazy_gettext("Your data leaves the country"),
            "impact": lazy_gettext("What it can mean for you"),
        },
        BUSINESS: {
            "data": lazy_gettext("Company data"),
            "authorizations": lazy_gettext("Company authorizations"),
            "reads": lazy_gettext("Who read company data"),
            "cases": lazy_gettext("Company cases"),
            "abroad": lazy_gettext("Company data leaves the country"),
            "impact": lazy_gettext("What it can mean for the company"),
        },
        CHILD: {
            "data": lazy_gettext("The child's data"),
            "authorizations": lazy_gettext("The child's authorizations"),
            "reads": lazy_gettext("Who read the child's data"),
            "cases": lazy_gettext("The child's cases"),
            "abroad": lazy_gettext("The child's data leaves the country"),
            "impact": lazy_gettext("What it can mean for the child"),
        },
    }
)
FACES = MappingProxyType(
    {
        Capacity.SELF: CITIZEN,
        Capacity.GUARDIAN: CITIZEN,
        Capacity.LEGAL_REPRESENTATIVE: BUSINESS,
        Capacity.AGENT: BUSINESS,
        Capacity.ADMINISTRATOR: ADMIN,
    }
)


DOORS = MappingProxyType({"/m/citizen": CITIZEN, "/m/business": BUSINESS})  # dataspace.web.doors


def face_of(capacity: Capacity | None) -> dict[str, object]:
    """The face for whoever acts in this capacity, or for somebody not signed in, and its words; for templates."""
    words = CHILD if capacity is Capacity.GUARDIAN else None
    return dressed(FACES[capacity] if capacity else CITIZEN, words)


def dressed(face: str, words: str | None = None) -> dict[str, object]:
    """One face and its words, or those of ``words``; for templates."""
    return {"face": face, "words": WORDS.get(words or face, WORDS[CITIZEN])}


def behind(path: str | None) -> str | None:
    """The face to which a path of ours is a door; None when it is none."""
    return DOORS.get(path.partition("?")[0]) if path else None
