"""My authorizations, stopping one, who read my data; through HTTP. Numbers C-xx are checks of the domain."""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale, format_date
from sqlalchemy import event, update

from consent import clients, endings, overview
from consent.overview import Search, Tab
from consent.records import APPROVAL_LAPSES, Consent, Event, Reason, State, facts_of, why_inactive
from dataspace import accesses, mandates
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from dataspace.permission import GrantedItem, Permission
from tests import factories
from tests.consent.visitor import Page, Visitor
from tests.factories import World

BANK = "Lingnan Example Bank"
DAY = dt.timedelta(days=1)
# Words that try to keep people from stopping (UK Customer Experience Guidelines; check C-36).
DISCOURAGING = re.compile(
    r"are you sure|lose|lost|miss out|regret|unfortunately|warning|risk|cannot be undone|careful|sorry|really|"
    r"recommend|better not|no longer be able|think again|consequences",
    re.IGNORECASE,
)


@dataclass
class Desk:
    """The smallest world and its person's browser."""

    world: World
    now: dt.datetime
    visitor: Visitor = field(repr=False)

    @property
    def path(self) -> str:
        return f"/authorizations/{self.world.consent.consent_id}"

    def opened(self) -> Page:
        return self.visitor.get(self.path)

    def another(self, n: int, **changes: object) -> Consent:
        """One more authorization of the same person."""
        row = factories.purpose(self.now, code=f"more-{n}", required=[self.world.item], **changes)
        given = factories.consent(factories.ask(row, self.now), self.world.actor, self.now + dt.timedelta(seconds=n))
        db.session.commit()
        return given

    def read(self, *, at: dt.datetime | None = None, refused: str = "", consent: Consent | None = None) -> None:
        """A read, or a refused one, is written into the log."""
        given = consent or self.world.consent
        permission = Permission(
            client_id="bank", recipient="岭南示例银行", consent_id=given.consent_id, consent_version=1,
            space_id=given.space_id, purpose="审核本次贷款申请", reference_no="LN-2026-0001", max_reads=given.max_reads,
            items=(GrantedItem(item_id=self.world.item.item_id, item_version=1, fields=("school",)),),
            auth_time=self.now, acr="urn:dataspace:acr:passkey",
        )  # fmt: skip
        items = [self.world.item.item_id]
        if refused:
            accesses.record_refused(permission, items, refused, at or self.now)
        else:
            accesses.record_answered(permission, items, at or self.now)
        db.session.commit()


@pytest.fixture
def desk(client: FlaskClient, now: dt.datetime) -> Desk:
    world = factories.world(now)
    return Desk(world, now, Visitor(client).sign_in(world.person, now))


def cards(page: Page) -> list[str]:
    """The words of each card."""
    return [words for words, href in page.links if re.match(r"/authorizations/cns_", href)]


# Lists


def test_c31_my_authorizations_are_one_tap_from_home(desk: Desk) -> None:
    desk.visitor.get("/")
    desk.visitor.taps = 0
    page = desk.visitor.follow("Authorizations")
    assert (page.status, desk.visitor.taps) == (200, 1)
    assert "My authorizations" in page.says


def test_c32_a_card_says_everything_that_counts(desk: Desk) -> None:
    desk.read(at=desk.now - dt.timedelta(minutes=2))
    desk.read(at=desk.now - dt.timedelta(minutes=1))
    (card,) = cards(desk.visitor.get("/authorizations"))
    for words in (
        BANK, "Review this loan application", "Item p.edu.degree", "Active", "Given", "Expires", "Expires in 30 days",
        "Last read", "Reads in 30 days 2", "They keep it Kept for 30 days, then deleted",
    ):  # fmt: skip
        assert words in card, (words, card)
    assert "never" not in card
    with force_locale("en"):
        given, expires = (format_date(desk.now + dt.timedelta(days=days), "long") for days in (0, 30))
    for words in (f"Given {given}", f"Expires {expires}"):
        assert words in card, (words, card)


def test_c32_old_reads_do_not_count_for_30_days(desk: Desk) -> None:
    desk.read(at=desk.now - 31 * DAY)
    (card,) = cards(desk.visitor.get("/authorizations"))
    assert "Reads in 30 days 0" in card
    assert "never" not in card


def test_c33_ended_ones_have_a_list_of_their_own_with_the_reason(desk: Desk) -> None:
    desk.opened()
    desk.visitor.tap("Stop the authorization")
    page = desk.visitor.get("/authorizations")
    assert cards(page) == []
    assert "Nobody has been given data" in page.says
    (card,) = cards(desk.visitor.get("/authorizations?tab=ended"))
    assert "Stopped" in card


def test_c33_search_and_filter_from_ten_cards_up(desk: Desk) -> None:
    for n in range(8):
        desk.another(n)
    assert not desk.visitor.get("/authorizations").offers("Search")
    desk.another(9, text=factories.text("购房补贴", "Housing 100%_subsidy"))
    page = desk.visitor.get("/authorizations")
    assert page.offers("Search")
    assert len(cards(page)) == 10
    for words, found in (("100%_s", 1), ("%", 1), ("lingnan", 10), ("岭南", 10), ("nobody", 0), ("LN-2026", 10)):
        assert len(cards(desk.visitor.get(f"/authorizations?q={words.replace('%', '%25')}"))) == found, words
    assert len(cards(desk.visitor.get("/authorizations?client=bank"))) == 10
    assert "Nothing found" in desk.visitor.get("/authorizations?client=other").says


def test_c33_long_lists_have_pages(desk: Desk) -> None:
    for n in range(26):
        desk.another(n)
    page = desk.visitor.get("/authorizations")
    assert len(cards(page)) == 25
    assert "Page 1 of 2" in page.says
    assert len(cards(desk.visitor.follow("Next page"))) == 2
    assert desk.visitor.get("/authorizations?page=99").status == 200
    assert desk.visitor.get("/authorizations?page=x&tab=x").status == 200


def test_the_number_of_queries_does_not_grow_with_the_list(desk: Desk) -> None:
    few = queries(desk.visitor, "/authorizations")
    for n in range(20):
        desk.read(consent=desk.another(n))
    assert queries(desk.visitor, "/authorizations") == few
    assert few < 14  # three of them for the numbers of the navigation


def queries(visitor: Visitor, path: str) -> int:
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert visitor.send("GET", path).status_code == 200
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len(seen)


# Which list


def give_company_consent(now: dt.datetime, **mandate: object) -> Consent:
    company = factories.company(now)
    person = factories.holder(now, factories.LEGAL_REP, "李伟强")
    role = mandates.appoint(company, person, Capacity.LEGAL_REPRESENTATIVE, now - DAY, **mandate)  # type: ignore[arg-type]
    licence = factories.item(now, "e.reg.licence")
    row = factories.purpose(now, code="company", required=[licence], kinds=["legal_entity"])
    given = factories.consent(factories.ask(row, now), factories.actor(person, now, on_behalf_of=role), now)
    db.session.commit()
    return given


def in_state(state: State) -> Callable[[Desk], Consent]:
    def make(desk: Desk) -> Consent:
        db.session.execute(update(Consent).values(state=state))
        return desk.world.consent

    return make


def after_expiry(desk: Desk) -> Consent:
    db.session.execute(update(Consent).values(expires_at=desk.now - dt.timedelta(seconds=1)))
    return desk.world.consent


def used_up(desk: Desk) -> Consent:
    db.session.execute(update(Consent).values(max_reads=1))
    db.session.refresh(desk.world.consent)
    desk.read()
    return desk.world.consent


def client_suspended(desk: Desk) -> Consent:
    clients.suspend("bank", desk.now, actor_id="x", reason_code="other", text="")
    return desk.world.consent


def space_closed(desk: Desk) -> Consent:
    db.session.execute(update(Holder).values(closed_at=desk.now))
    return desk.world.consent


def mandate_over(desk: Desk) -> Consent:
    given = give_company_consent(desk.now)
    mandates.end(given.mandate_id or "", desk.now)
    return given


def pending_too_long(desk: Desk) -> Consent:
    old = desk.now - APPROVAL_LAPSES
    db.session.execute(update(Consent).values(state=State.PENDING_APPROVAL, state_since=old))
    return desk.world.consent


CASES = {
    "active": (lambda desk: desk.world.consent, Tab.ACTIVE, None),
    "paused": (in_state(State.PAUSED), Tab.ACTIVE, Reason.PAUSED),
    "suspended": (in_state(State.SUSPENDED), Tab.ACTIVE, Reason.SUSPENDED),
    "client suspended": (client_suspended, Tab.ACTIVE, Reason.CLIENT_SUSPENDED),
    "pending": (in_state(State.PENDING_APPROVAL), Tab.WAITING, Reason.PENDING),
    "pending too long": (pending_too_long, Tab.ENDED, Reason.LAPSED),
    "refused": (in_state(State.REFUSED), Tab.ENDED, Reason.REFUSED),
    "rejected": (in_state(State.REJECTED), Tab.ENDED, Reason.REJECTED),
    "withdrawn": (in_state(State.WITHDRAWN), Tab.ENDED, Reason.WITHDRAWN),
    "revoked": (in_state(State.INVALIDATED), Tab.ENDED, Reason.INVALIDATED),
    "terminated": (in_state(State.TERMINATED), Tab.ENDED, Reason.TERMINATED),
    "expired": (in_state(State.EXPIRED), Tab.ENDED, Reason.EXPIRED),
    "expired, not swept": (after_expiry, Tab.ENDED, Reason.EXPIRED),
    "used up, not swept": (used_up, Tab.ENDED, Reason.QUOTA_EXHAUSTED),
    "mandate ended": (mandate_over, Tab.ENDED, Reason.MANDATE_ENDED),
    "space closed": (space_closed, Tab.ENDED, Reason.SPACE_CLOSED),
}


@pytest.mark.parametrize("case", CASES)
def test_each_consent_is_on_exactly_one_list_the_one_that_its_reason_says(desk: Desk, case: str) -> None:
    make, tab, reason = CASES[case]
    consent = make(desk)
    db.session.commit()
    inactive = why_inactive(facts_of(consent.consent_id), desk.now)
    assert (inactive.reason if inactive else None) == reason
    found = {t: overview.cards(consent.space_id, t, desk.now, search=Search()) for t in Tab}
    assert {t: [c.consent_id for c in f.cards] for t, f in found.items() if f.cards} == {tab: [consent.consent_id]}
    assert overview.counts(consent.space_id, desk.now) == {t: int(t == tab) for t in Tab}


# One authorization


def test_a_consent_of_somebody_else_is_not_there(desk: Desk, app: Flask) -> None:
    other = Visitor(app.test_client()).sign_in(factories.holder(desk.now, factories.OTHER_PERSON, "梁志文"), desk.now)
    assert other.get(desk.path).status == 404
    assert other.get(f"{desk.path}/approve").status == 404
    other.get("/authorizations")
    token = next(a["value"] for tag, a in other.page.tags if a.get("name") == "csrf_token")
    assert other.send("POST", f"{desk.path}/withdraw", data={"csrf_token": token}).status_code == 404
    assert db.session.get_one(Consent, desk.world.consent.consent_id).state == State.ACTIVE


def test_who_is_not_signed_in_sees_nothing(desk: Desk, app: Flask) -> None:
    for path in (desk.path, "/authorizations", "/reads", "/reads.csv"):
        assert Visitor(app.test_client()).send("GET", path).status_code == 303


def test_an_administrator_sees_no_consent_here(desk: Desk, app: Flask) -> None:
    person = factories.administrator(desk.now)
    visitor = Visitor(app.test_client()).sign_in(person, desk.now, acting="administrator")
    assert visitor.get(desk.path).status == 403


def after_giving(visitor: Visitor) -> None:
    visitor.follow("Look at the authorization")


def from_the_list(visitor: Visitor) -> None:
    card = next(
        href for _words, href in visitor.get("/authorizations").links if href.startswith("/authorizations/cns_")
    )
    visitor.taps, visitor.requests = 1, 0
    visitor.get(card)


@pytest.mark.parametrize("way", [after_giving, from_the_list])
def test_c34_stopping_takes_no_more_taps_and_requests_than_giving(desk: Desk, way: Callable[[Visitor], None]) -> None:
    """Both begin with the tap that leads to the page: at the third party, and here. The request has one screen."""
    visitor = desk.visitor
    row = factories.purpose(desk.now, code="again", required=[desk.world.item])
    path = visitor.asked(factories.ask(row, desk.now), desk.now)
    visitor.taps, visitor.requests = 1, 0
    visitor.get(path)
    visitor.tap("Agree")
    taps, requests = visitor.taps, visitor.requests
    visitor.taps = visitor.requests = 0
    way(visitor)
    page = visitor.tap("Stop the authorization")
    assert (visitor.taps <= taps, visitor.requests <= requests) == (True, True), (visitor.taps, visitor.requests)
    assert "Stopped. From now on nothing can be read." in page.says


def test_c35_consequence_received_data_and_deletion_stand_before_the_last_tap(desk: Desk) -> None:
    page = desk.opened()
    for words in (f"{BANK} can read nothing more", f"Ask {BANK} whether your service there changes",
                  "What was read before was read lawfully", "Kept for 30 days, then deleted",
                  "Also ask them to delete what they have received"):  # fmt: skip
        assert words in page.says, words
    box = next(a for tag, a in page.tags if a.get("name") == "deletion")
    assert "checked" not in box


@pytest.mark.parametrize("ticked", [False, True])
def test_c35_deletion_is_asked_for_only_when_ticked(desk: Desk, ticked: bool) -> None:
    desk.opened()
    page = desk.visitor.tap("Stop the authorization", **({"deletion": "yes"} if ticked else {}))
    events = [e.kind for e in overview.events_of(desk.world.consent.consent_id)]
    assert (Event.DELETION_REQUESTED in events) is ticked
    assert ("Asked the third party to delete what it received" in page.says) is ticked


@pytest.mark.parametrize(("path", "button"), [("", "Stop the authorization"), ("/stop-authorizations", "Stop them")])
def test_c36_no_word_keeps_people_from_stopping(desk: Desk, path: str, button: str) -> None:
    for page in (desk.visitor.get(path or desk.path), desk.visitor.tap(button)):
        assert page.status == 200
        found = DISCOURAGING.search(page.says)
        assert found is None, found


def test_stopping_twice_is_no_error(desk: Desk) -> None:
    page = desk.opened()
    desk.visitor.tap("Stop the authorization")
    desk.visitor.page = page
    page = desk.visitor.tap("Stop the authorization")
    assert page.status == 200
    assert "It had ended already." in page.says
    assert [e.kind for e in overview.events_of(desk.world.consent.consent_id)].count(Event.WITHDRAWN) == 1


def test_c38_stopping_needs_nothing_of_the_third_party(desk: Desk) -> None:
    client = desk.world.party.client
    client.redirect_uris, client.jwks = ["https://gone.invalid/"], None
    db.session.commit()
    desk.opened()
    assert desk.visitor.tap("Stop the authorization").status == 200


def test_a_stop_without_its_token_is_refused(desk: Desk) -> None:
    assert desk.visitor.send("POST", f"{desk.path}/withdraw").status_code == 400
    assert desk.visitor.send("GET", f"{desk.path}/withdraw").status_code == 405
    assert db.session.get_one(Consent, desk.world.consent.consent_id).state == State.ACTIVE


def test_why_it_is_inactive_stands_in_words_and_it_cannot_be_stopped_again(desk: Desk) -> None:
    db.session.execute(update(Consent).values(expires_at=desk.now - DAY))
    db.session.commit()
    page = desk.opened()
    assert "Its time is over. Nothing can be read any more." in page.says
    assert not page.offers("Stop the authorization")


def test_an_administrators_revocation_is_shown_with_reason_text_and_appeal(desk: Desk) -> None:
    admin = factories.administrator(desk.now)
    endings.revoke(
        desk.world.consent.consent_id, factories.supervisor(admin, desk.now), desk.now,
        reason_code="client_misuse", text="<b>The bank</b> sold data.", registry=factories.registry(),
    )  # fmt: skip
    db.session.commit()
    page = desk.opened()
    for words in (
        "An administrator revoked it.",
        "Reason: Misuse by the third party",
        "<b>The bank</b> sold data.",
        "call 12345",
    ):
        assert words in page.says.replace("&lt;", "<").replace("&gt;", ">"), words
    assert "<b>The bank" not in page.html
    assert "管理员" not in page.says  # administrators have no names here
    assert not page.offers("Stop the authorization")


def test_a_suspended_client_is_said_and_its_consent_can_still_be_stopped(desk: Desk) -> None:
    clients.suspend("bank", desk.now, actor_id="x", reason_code="other", text="")
    db.session.commit()
    page = desk.opened()
    assert "The third party is suspended. It can read nothing until it is reinstated." in page.says
    desk.visitor.tap("Stop the authorization")
    assert db.session.get_one(Consent, desk.world.consent.consent_id).state == State.WITHDRAWN


def test_the_history_and_the_text_as_it_was_shown_are_there(desk: Desk) -> None:
    page = desk.opened()
    for words in ("Agreed", "The request was opened", "The third party asked", "The text as it was shown"):
        assert words in page.says, words
    assert '<pre class="as-shown">岭南示例银行 审核本次贷款申请</pre>' in page.html


def test_the_last_ten_reads_are_on_the_page_and_all_are_one_tap_away(desk: Desk) -> None:
    for n in range(11):
        desk.read(at=desk.now - dt.timedelta(minutes=n))
    page = desk.opened()
    assert page.html.count("read lawfully") == 1
    assert len(re.findall(r'class="title-line"><strong>', page.html)) == 10
    page = desk.visitor.follow("All")
    assert page.html.count("badge good") == 11


# Who read my data


def test_c42_the_log_shows_reads_and_refused_attempts_newest_first_without_values(desk: Desk) -> None:
    desk.read(at=desk.now - 2 * DAY)
    desk.read(at=desk.now - dt.timedelta(minutes=3), refused="item_not_granted")
    desk.read(at=desk.now - dt.timedelta(minutes=2), refused="consent_withdrawn")
    page = desk.visitor.get("/reads")
    newest_first = ("It was stopped from your side.", "It asked for data that it was not given.", "Read Nov")
    found = [page.says.index(words) for words in newest_first]
    assert found == sorted(found)
    for words in (BANK, "Review this loan application", "Item p.edu.degree", "Case number LN-2026-0001"):
        assert words in page.says, words
    assert "示例大学" not in page.says
    assert "item_not_granted" not in page.says
    assert page.html.count("<h2><time") == 2  # two days


FILTERS = {
    "": 3, "?outcome=answered": 2, "?outcome=refused": 1, "?outcome=x": 3, "?client=bank": 3, "?client=other": 0,
    "?consent=none": 0, "?before=abc": 3, "?before=0": 0,
}  # fmt: skip


@pytest.mark.parametrize(("query", "lines"), FILTERS.items())
def test_c42_the_log_can_be_filtered(desk: Desk, query: str, lines: int) -> None:
    desk.read()
    desk.read()
    desk.read(refused="item_not_granted")
    assert len(re.findall(r'class="title-line"><strong>', desk.visitor.get(f"/reads{query}").html)) == lines


def test_c42_older_lines_are_reached_by_key(desk: Desk) -> None:
    for n in range(60):
        desk.read(at=desk.now - dt.timedelta(minutes=60 - n))
    counted = []
    page = desk.visitor.get("/reads?outcome=answered")
    while True:
        counted.append(len(re.findall(r'class="title-line"><strong>', page.html)))
        if not any(words == "Older" for words, _ in page.links):
            break
        page = desk.visitor.follow("Older")
    assert counted == [25, 25, 10]


def test_c42_the_log_can_be_exported_without_formulas(desk: Desk) -> None:
    name = '=HYPERLINK("http://evil.example","x")'
    desk.world.party.client.legal_name = factories.text(name)
    desk.read()
    desk.read(refused="item_not_granted")
    db.session.execute(update(Access).values(reference_no="@SUM(1)"))
    db.session.commit()
    response = desk.visitor.send("GET", "/reads.csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(response.get_data(as_text=True).lstrip("\ufeff"))))
    assert rows[0] == ["Time", "Who", "What for", "Data", "Result", "Why", "Case number", "Rests on"]
    assert [r[4] for r in rows[1:]] == ["Refused", "Read"]
    assert {r[1] for r in rows[1:]} == {f"'{name}"}
    assert {r[6] for r in rows[1:]} == {"'@SUM(1)"}


def test_c42_the_log_can_be_cut_to_a_period(desk: Desk) -> None:
    for days in (0, 5, 40):
        desk.read(at=desk.now - days * DAY)
    today = (desk.now + dt.timedelta(hours=8)).date()  # where the reader is

    def lines(query: str) -> int:
        return len(re.findall(r'class="title-line"><strong>', desk.visitor.get(f"/reads?{query}").html))

    assert lines(f"since={today - 5 * DAY}") == 2
    assert lines(f"until={today - DAY}") == 2
    assert lines(f"since={today - 10 * DAY}&until={today - DAY}") == 1
    assert lines("since=yesterday&until=2026-13-01") == 3
    rows = desk.visitor.send("GET", f"/reads.json?since={today - 5 * DAY}").json
    assert len(rows) == 2


def test_c42_the_log_can_be_exported_for_programs(desk: Desk) -> None:
    assert desk.visitor.send("GET", "/reads.json").json == []
    desk.read(at=desk.now - dt.timedelta(minutes=1))
    desk.read(refused="item_not_granted")
    response = desk.visitor.send("GET", "/reads.json")
    assert "attachment" in response.headers["Content-Disposition"]
    refused, answered = response.json
    assert answered["who"] == BANK
    assert answered["data"] == ["Item p.edu.degree"]
    assert (answered["answered"], answered["result"], answered["why"]) == (True, "Read", None)
    assert answered["case_number"] == "LN-2026-0001"
    assert (refused["answered"], refused["result"]) == (False, "Refused")
    assert "not given" in refused["why"]
    assert dt.datetime.fromisoformat(answered["at"]).tzinfo is not None


def test_c42_the_export_is_whole_when_the_log_is_long(desk: Desk) -> None:
    for _ in range(3):
        desk.read()
    first = db.session.query(Access).order_by(Access.access_id).first()
    values = {c.name: getattr(first, c.name) for c in Access.__table__.columns}
    values.pop("access_id")
    db.session.execute(Access.__table__.insert(), [values | {"read_no": None} for _ in range(1100)])
    db.session.commit()
    lines = desk.visitor.send("GET", "/reads.csv").get_data(as_text=True).strip().splitlines()
    assert len(lines) == 1 + 3 + 1100


def test_c46_no_developer_words_for_holders(desk: Desk) -> None:
    desk.world.item.labels = factories.text("学历", "Degree")
    desk.read()
    desk.read(refused="quota_exhausted")
    db.session.commit()
    unwanted = re.compile(r"p\.edu|cns_|hld_|spc_|consent_|quota_|_expired|loan-review|acr|urn:")
    for path in ("/", "/authorizations", desk.path, "/reads", "/messages", "/data", "/data/p.edu.degree"):
        says = desk.visitor.get(path).says.replace("Item p.edu.degree", "")  # the label that the consent was given with
        assert not unwanted.search(says), (path, unwanted.search(says))


def test_c47_every_way_that_a_page_offers_leads_somewhere(desk: Desk) -> None:
    """What a page promises ("stop it here", "say so beside it") is a link, and every link is followed."""
    own = desk.path
    desk.read()
    desk.read(refused="item_not_granted")
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop().partition("#")[0]
        if path in seen or not path.startswith("/"):
            continue
        seen.add(path)
        response = desk.visitor.send("GET", path)
        response.get_data()  # files are sent while they are read
        assert response.status_code in (200, 303), path
        if response.mimetype == "text/html":
            waiting += [href for _words, href in Page(response).links]
    assert seen >= {
        "/authorizations", "/reads", "/reads.csv", "/reads.json", "/data", "/data/p.edu.degree", own, "/cases",
        "/cases/new?kind=complaint&line=1", "/cases/new?kind=correction&item=p.edu.degree",
    }  # fmt: skip


@pytest.mark.parametrize("odd", ["%00", "%ff", "x" * 3000, "%E2%80%AE", "'\"<>", "-1", "9" * 30])
@pytest.mark.parametrize(
    "path",
    [
        "/authorizations?q=",
        "/authorizations?client=",
        "/authorizations?page=",
        "/authorizations/",
        "/reads?before=",
        "/reads?consent=",
        "/reads.csv?client=",
    ],
)
def test_odd_addresses_are_no_fault_of_ours(desk: Desk, path: str, odd: str) -> None:
    assert desk.visitor.get(path + odd).status in (200, 400, 404)


def test_home_counts_for_me_only_what_i_may_approve(client: FlaskClient, app: Flask, now: dt.datetime) -> None:
    company = factories.company(now)
    agent, other = factories.holder(now, factories.AGENT, "周敏"), factories.holder(now, factories.LEGAL_REP, "李伟强")
    roles = [factories.mandate(company, agent, Capacity.AGENT, now)]
    roles.append(factories.mandate(company, other, Capacity.LEGAL_REPRESENTATIVE, now))
    factories.party(now)
    row = factories.purpose(now, required=[factories.item(now, "e.reg.licence")], kinds=["legal_entity"])
    factories.consent(factories.ask(row, now), factories.actor(agent, now, on_behalf_of=roles[0]), now)
    db.session.commit()
    assert "0 waiting for me" in Visitor(client).sign_in(agent, now, acting=roles[0]).get("/").says
    page = Visitor(app.test_client()).sign_in(other, now, acting=roles[1]).get("/")
    assert "1 waiting for me" in page.says
