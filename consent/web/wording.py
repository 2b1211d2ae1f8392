"""What the screens of a request call things: for grown-ups, and in simpler words for those of 14 to 17 (check C-22).

Both say the same in the same order, because the same templates ask either of them; a word that one lacks is an error.
"""

from dataclasses import dataclass

from flask_babel import lazy_gettext

from consent.web.words import Label


@dataclass(frozen=True, kw_only=True)
class Wording:
    """``lead``: a sentence at the head of the first screen, ``calm``: one below the terms; a grown-up needs neither.
    ``impact``, ``leaves``: empty for what the face calls it (:mod:`dataspace.web.faces`).

    ``gives``, ``purpose``, ``for_so_long``, ``for_once``: the sentences of the last screen that say what will be given.
    """

    lead: Label = ""
    calm: Label = ""
    impact: Label = ""
    leaves: Label = ""
    in_order_to: Label
    to_read: Label
    why: Label
    source: Label
    fields: Label
    optional_fields: Label
    how_long: Label
    kept: Label
    how_often: Label
    given_to: Label
    abroad: Label
    methods: Label
    computer: Label
    how_to_stop: Label
    alone: Label
    required: Label
    optional: Label
    leaves_alone: Label
    confirm: Label
    gives: Label
    purpose: Label
    for_so_long: Label
    for_once: Label


GROWN_UP = Wording(
    in_order_to=lazy_gettext("In order to"),
    to_read=lazy_gettext("To read"),
    why=lazy_gettext("Why"),
    source=lazy_gettext("Source"),
    fields=lazy_gettext("Every field that is read"),
    optional_fields=lazy_gettext("Only if you tick it"),
    how_long=lazy_gettext("How long"),
    kept=lazy_gettext("They keep it"),
    how_often=lazy_gettext("How often"),
    given_to=lazy_gettext("Also given to"),
    abroad=lazy_gettext("Abroad"),
    methods=lazy_gettext("What is done with it"),
    computer=lazy_gettext("Decision by computer"),
    how_to_stop=lazy_gettext("How to stop"),
    alone=lazy_gettext("This is sensitive. Decide about it on its own."),
    required=lazy_gettext("This item is required. Without it the request cannot be completed."),
    optional=lazy_gettext("This item is optional. Without it the request goes on."),
    leaves_alone=lazy_gettext("Decide about this on its own."),
    confirm=lazy_gettext("You are about to agree"),
    gives=lazy_gettext("You give %(party)s: %(items)s."),
    purpose=lazy_gettext("What for: %(purpose)s."),
    for_so_long=lazy_gettext("It can be read for %(days)s."),
    for_once=lazy_gettext("It can be read a single time, within %(days)s."),
)
YOUNG = Wording(
    lead=lazy_gettext("They would like to see something about you. You decide."),
    calm=lazy_gettext("Yes and no are both fine. Not sure? Ask somebody you trust first."),
    in_order_to=lazy_gettext("What they want it for"),
    to_read=lazy_gettext("What they want to see"),
    why=lazy_gettext("Why they need it"),
    impact=lazy_gettext("What could come of it"),
    source=lazy_gettext("Who has this about you"),
    fields=lazy_gettext("Exactly what they see"),
    optional_fields=lazy_gettext("They see this only if you tick it"),
    how_long=lazy_gettext("How long they may look"),
    kept=lazy_gettext("How long they keep it"),
    how_often=lazy_gettext("How often they may look"),
    given_to=lazy_gettext("Who else gets it"),
    abroad=lazy_gettext("Does it go to another country?"),
    methods=lazy_gettext("What they do with it"),
    computer=lazy_gettext("Does a computer decide?"),
    how_to_stop=lazy_gettext("If you change your mind"),
    alone=lazy_gettext("This is private. Think about it, and decide only about this one."),
    required=lazy_gettext("They need this one. If you keep it to yourself, they get nothing at all."),
    optional=lazy_gettext("You can keep this one to yourself. The rest goes on."),
    leaves=lazy_gettext("Your data goes to another country"),
    leaves_alone=lazy_gettext("Think about it, and decide only about this."),
    confirm=lazy_gettext("Read it once more, then decide"),
    gives=lazy_gettext("%(party)s gets this from you: %(items)s."),
    purpose=lazy_gettext("They want it for this: %(purpose)s."),
    for_so_long=lazy_gettext("They may look for %(days)s, and then no more."),
    for_once=lazy_gettext("They may look one time, within %(days)s, and then no more."),
)
