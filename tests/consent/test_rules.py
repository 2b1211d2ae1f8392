"""Rules as data: which rule wins, what is refused with which sentence, and rule sets that are refused as a whole."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app
from flask_babel import force_locale
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from consent import asks, clients, proposals, purposes, rule_files, rule_preview, rules, scenarios
from consent.installation import EVERYTHING
from consent.interventions import OperatorEvent
from consent.proposals import AgainstRules
from consent.purposes import Purpose
from consent.records import Consent, ConsentVersion
from consent.rules import Case, Rule, RuleBook, Rules, Wanted
from consent.terms import AskedItem, InvalidTerms
from consent.web import words
from dataspace import catalogue
from dataspace.db import db
from dataspace.errors import InvalidFile
from tests import factories
from tests.consent.visitor import Visitor

ROOT = Path(__file__).parents[2]
TITLE = 'title = { zh_hans = "规则", zh_hant = "規則", en = "Rules" }'
HEAD = f'[rule_set]\nversion = "v1"\n{TITLE}\n'
CASE = Case(client_id="bank", client_class="bank", purpose_code="loan-review", template="1", mode="periodic")


def rule(rule_id: str, caps: dict[str, Any], **selectors: str) -> Rule:
    columns = {column: selectors.pop(key, "*") for key, column in rule_files.SELECTORS.items()}
    assert not selectors
    return Rule(version="v", rule_id=rule_id, caps=caps, **columns)


def load(text: str, now: dt.datetime, **options: str) -> rule_files.Draft:
    draft = rule_files.check("rules.toml", text.encode(), now, **options)
    rule_files.store(draft, now, actor_id="command", reason_code=None, text="test")
    return draft


@pytest.fixture
def registered(app: Flask, now: dt.datetime) -> Purpose:
    """A bank that reads electricity and degrees; its purpose belongs to the template 1."""
    party = factories.party(now)
    party.client.client_class = "bank"
    power = factories.item(now, "e.energy.power", ("month", "kwh", "fee"), many=True, period_field="month")
    degree = factories.item(now)
    row = factories.purpose(now, required=[power], optional=[degree], scenario="1", frequency={"n": 2, "unit": "day"})
    db.session.commit()
    return row


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ({}, {"mode": "periodic"}),
        ({"mode": "periodic"}, {"client_class": "bank"}),
        ({"client_class": "bank"}, {"client": "bank"}),
        ({"client": "bank", "mode": "periodic"}, {"template": "1"}),
        ({"template": "1"}, {"purpose": "loan-review"}),
        ({"purpose": "loan-review", "client": "bank", "mode": "periodic"}, {"item": "p.*"}),
        ({"item": "p.*", "purpose": "loan-review"}, {"item": "p.edu.*"}),
        ({"item": "p.edu.*", "purpose": "loan-review", "client": "bank"}, {"item": "p.edu.degree"}),
        ({"item": "p.edu.degree"}, {"item": "p.edu.degree", "mode": "periodic"}),
    ],
)
def test_the_more_specific_rule_wins(lower: dict[str, str], higher: dict[str, str]) -> None:
    both = [rule("a-low", {"life_days": 1, "look_back_months": 3}, **lower), rule("b-high", {"life_days": 9}, **higher)]
    for order in (both, both[::-1]):
        ruling = Rules(rules=order).ruling(CASE, "p.edu.degree")
        assert (ruling["life_days"].value, ruling["life_days"].rule_id) == (9, "b-high")
        assert ruling["look_back_months"].rule_id == "a-low"  # each cap for itself


@pytest.mark.parametrize(
    "selectors",
    [
        {"client": "other"}, {"client_class": "hospital"}, {"purpose": "other"}, {"template": "5"},
        {"mode": "one_time"}, {"item": "p.health.*"}, {"item": "p.edu.enrol"}, {"item": "e.*"}, {"item": "p.educ.*"},
    ],
)  # fmt: skip
def test_a_rule_counts_only_for_what_it_means(selectors: dict[str, str]) -> None:
    assert Rules(rules=[rule("a", {"life_days": 1}, **selectors)]).ruling(CASE, "p.edu.degree") == {}


def _selectors() -> st.SearchStrategy[dict[str, str]]:
    choices = {
        "client": ["bank"], "client_class": ["bank", "hospital"], "purpose": ["loan-review"], "template": ["1", "5"],
        "mode": ["periodic", "one_time"], "item": ["p.edu.degree", "p.edu.*", "p.*", "e.*"],
    }  # fmt: skip
    return st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in choices.items()}).filter(
        lambda s: not ({"client", "client_class"} <= set(s) or {"purpose", "template"} <= set(s))
    )


def _caps() -> st.SearchStrategy[dict[str, Any]]:
    frequency = st.fixed_dictionaries({"n": st.integers(1, 400), "unit": st.sampled_from(sorted(rules.PER_YEAR))})
    forbidden = st.sampled_from([False, factories.text("不可以", "No")])
    numbers = {c: st.integers(1, 60) for c in ("life_days", "look_back_months", "retention_days")}
    return st.fixed_dictionaries({}, optional=numbers | {"frequency": frequency, "forbidden": forbidden})


_sets = st.lists(st.tuples(_selectors(), _caps()), max_size=8).map(
    # Without contradictions, as every stored set is.
    lambda found: [
        rule(f"r{n}", caps, **dict(s))
        for n, (s, caps) in enumerate({tuple(sorted(s.items())): c for s, c in found}.items())
    ]
)


@given(st.data(), _sets)
def test_the_order_of_a_file_decides_nothing(data: st.DataObject, found: list[Rule]) -> None:
    shuffled = data.draw(st.permutations(found))
    assert Rules(rules=found).ruling(CASE, "p.edu.degree") == Rules(rules=shuffled).ruling(CASE, "p.edu.degree")


@given(_sets, _selectors(), st.sampled_from(["life_days", "look_back_months", "retention_days"]), st.integers(1, 60))
def test_a_narrower_cap_never_admits_more(found: list[Rule], selectors: dict[str, str], cap: str, value: int) -> None:
    """Adding a rule whose cap is not above what counted before leaves every earlier objection to that cap standing."""
    before = Rules(rules=found)
    known = before.ruling(CASE, "p.edu.degree").get(cap)
    narrower = rule("z", {cap: min(value, known.value) if known else value}, **selectors)
    after = Rules(rules=[*[r for r in found if r.selectors != narrower.selectors], *_merged(found, narrower)])
    wanted = Wanted(
        case=CASE, items=(("p.edu.degree", ("school",), 30),), duration_days=30, frequency=None, retention_days=30
    )
    refused = {o.cap for o in rules.objections(before, wanted)}
    assert refused <= {o.cap for o in rules.objections(after, wanted)}


def _merged(found: list[Rule], narrower: Rule) -> list[Rule]:
    same = [r for r in found if r.selectors == narrower.selectors]
    if not same:
        return [narrower]
    merged = Rule(version="v", rule_id="z", caps=same[0].caps | narrower.caps)
    for column in rule_files.SELECTORS.values():
        setattr(merged, column, getattr(narrower, column))
    return [merged]


@pytest.mark.parametrize(
    ("caps", "asked", "said"),
    [
        ('life_days = 7', {"duration_days": 8}, "duration: 8 is more than the cap of 7 set by rule r"),
        ('item = "e.energy.power"\nlook_back_months = 12', {"months": 24},
         "months of item e.energy.power: 24 is more than the cap of 12 set by rule r"),
        ('retention_days = 7', {}, "retention: 30 is more than the cap of 7 set by rule r"),
        ('item = "e.*"\nforbidden = { zh_hans = "不可以", zh_hant = "不可以", en = "Not \\"for\\" banks" }', {},
         "item e.energy.power is forbidden here by rule r: Not 'for' banks"),
    ],
)  # fmt: skip
def test_over_asking_is_refused_with_the_part_and_the_rule(
    registered: Purpose, now: dt.datetime, caps: str, asked: dict[str, Any], said: str
) -> None:
    load(f'{HEAD}[[rules]]\nid = "r"\nclient_class = "bank"\n{caps}\n', now)
    months = asked.pop("months", None)
    items = (AskedItem(item_id="e.energy.power", months=months),) if months else ()
    with pytest.raises(InvalidTerms) as error:
        factories.ask(registered, now, items=items, **asked)
    assert said in error.value.detail
    assert error.value.detail.isascii()


def test_what_a_request_leaves_open_is_asked_within_the_rules(registered: Purpose, now: dt.datetime) -> None:
    load(HEAD + '[[rules]]\nid = "r"\nlife_days = 7\nlook_back_months = 3\nfrequency = { n = 1, unit = "week" }\n', now)
    ask = factories.ask(registered, now)
    assert (ask.duration_days, ask.frequency) == (7, {"n": 1, "unit": "week"})
    assert catalogue.months_between(ask.items[0].period_from, ask.items[0].period_to) == 3
    assert ask.items[1].period_from is None  # a degree has no period
    assert ask.rule_set_version == "v1"


def test_a_registered_cap_below_the_rule_stays(registered: Purpose, now: dt.datetime) -> None:
    load(HEAD + '[[rules]]\nid = "r"\nlife_days = 365\nfrequency = { n = 100, unit = "day" }\n', now)
    assert factories.ask(registered, now).frequency == {"n": 2, "unit": "day"}
    with pytest.raises(InvalidTerms, match="cap of 90 for this purpose"):
        factories.ask(registered, now, duration_days=91)


def test_a_template_holds_to_its_items_and_fields_and_names_what_is_usual(
    registered: Purpose, now: dt.datetime
) -> None:
    load(
        f'{HEAD}[[templates]]\ncode = "1"\n{TITLE}\nusual = {{ duration_days = 14 }}\n'
        'items = [{ item = "e.energy.power", fields = ["month", "kwh"] }]\n', now,
    )  # fmt: skip
    narrow = AskedItem(item_id="e.energy.power", fields=("month", "kwh"))
    ask = factories.ask(registered, now, items=(narrow,))
    assert ask.usual == {"duration_days": 14}
    assert asks.Ask.from_document(json.loads(json.dumps(ask.to_document()))) == ask
    for item, said in (
        (AskedItem(item_id="e.energy.power"), "field fee of item e.energy.power does not belong to the template 1"),
        (AskedItem(item_id="p.edu.degree"), "item p.edu.degree does not belong to the template 1"),
    ):
        with pytest.raises(InvalidTerms, match=said):
            factories.ask(registered, now, items=(item,))


def test_a_request_is_judged_by_the_rules_of_its_moment_and_the_consent_keeps_their_version(
    app: Flask, now: dt.datetime
) -> None:
    world = factories.world(now)
    document = json.loads(db.session.scalars(select(ConsentVersion.document)).one())
    assert document["purpose"]["rule_set_version"] is None
    tomorrow = now + dt.timedelta(days=1)
    load(HEAD + '[[rules]]\nid = "r"\nlife_days = 20\n', now)
    load(
        HEAD.replace("v1", "v2") + '[[rules]]\nid = "r"\nlife_days = 10\n',
        now,
        valid_from=tomorrow.isoformat()[:19] + "Z",
    )
    assert factories.ask(world.purpose, now).duration_days == 20
    later = factories.ask(world.purpose, tomorrow)
    assert (later.duration_days, later.rule_set_version) == (10, "v2")
    given = factories.consent(later, world.actor, tomorrow)
    document = json.loads(db.session.get_one(ConsentVersion, (given.consent_id, 1)).document)
    assert document["purpose"]["rule_set_version"] == "v2"
    with pytest.raises(InvalidTerms, match="no rule set is in force"):  # the clock was set back
        factories.ask(world.purpose, now - dt.timedelta(days=1))


DEGREE = "p.edu.degree"
RULE = '[[rules]]\nid = "r"\n'


@pytest.mark.wire
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rule_set = 1", "rules.toml: rule_set: must be a table"),
        ("", "rules.toml: rule_set: is missing"),
        ("[rule_set", "rules.toml: "),
        (f'{HEAD}more = 1', "rules.toml: rule_set.more: is not known here"),
        (HEAD.replace('"v1"', "1"), "rules.toml: rule_set.version: must be a text"),
        (HEAD.replace('"v1"', '"v1"\nvalid_from = 2027-01-01'), "rule_set.valid_from: must be a text"),
        (HEAD.replace('"v1"', '"v1"\nvalid_from = "2027-02-30"'), "rule_set.valid_from: is no moment"),
        (HEAD.replace('"v1"', '"v1"\nvalid_from = "2999-01-01"'), "rule_set.valid_from: is in the future, but no rule"),
        (HEAD + "rules = 1", "rules.toml: rule_set.rules: is not known here"),
        ("rules = [1]\n" + HEAD, "rules.toml: rules 1: must be a table"),
        (HEAD + '[[rules]]\nid = 5\nlife_days = 1', "rules.toml: rules 1: id: must be a text"),
        (HEAD + RULE, "r: id: caps and forbids nothing"),
        (HEAD + RULE + "life_days = 0", "r: life_days: must be at least 1"),
        (HEAD + RULE + 'life_days = "1"', "r: life_days: must be a whole number"),
        (HEAD + RULE + "life_days = true", "r: life_days: must be a whole number"),
        (HEAD + RULE + "lifedays = 1", "r: lifedays: is not known here"),
        (HEAD + RULE + "forbidden = true", "r: forbidden: must be False"),
        (HEAD + RULE + 'forbidden = { en = "No" }', "r: forbidden.zh_hans: is missing"),
        (HEAD + RULE + 'frequency = { n = 1, unit = "hour" }', "r: frequency.unit: must be one of"),
        (HEAD + RULE + 'mode = "one_time"\nfrequency = { n = 1, unit = "day" }', "r: frequency: makes sense only"),
        (HEAD + RULE + 'client = "nobody"\nlife_days = 1', "r: client: is not in the registry"),
        (HEAD + RULE + 'client_class = "baker"\nlife_days = 1', "r: client_class: must be one of"),
        (HEAD + RULE + 'client = "bank"\nclient_class = "bank"\nlife_days = 1', "r: client: and client_class are both"),
        (HEAD + RULE + 'purpose = "nothing"\nlife_days = 1', "r: purpose: is not in the registry"),
        (HEAD + RULE + 'template = "9"\nlife_days = 1', "r: template: is not in this file"),
        (HEAD + RULE + 'item = "p.no.such"\nlife_days = 1', "r: item: means no item of the catalogue"),
        (HEAD + RULE + 'item = "p.health.*"\nlife_days = 1', "r: item: means no item of the catalogue"),
        (HEAD + RULE + 'item = "*.edu"\nlife_days = 1', "r: item: does not have the required form"),
        (HEAD + RULE + "life_days = 1\n" + RULE + 'item = "p.*"\nlife_days = 1', "r: id: is used twice"),
        (HEAD + RULE + 'item = "p.*"\nlife_days = 1\n[[rules]]\nid = "other"\nlife_days = 2\nitem = "p.*"',
         "other: life_days: contradicts r, which counts for the same and says otherwise"),
        (HEAD + f'[[templates]]\ncode = "1"\n{TITLE}\nitems = [{{ item = "p.no.such" }}]',
         "1: items[1].item: is not in the catalogue"),
        (HEAD + f'[[templates]]\ncode = "1"\n{TITLE}\nitems = [{{ item = "p.edu.degree", fields = ["no"] }}]',
         "1: items[1].fields[1]: is no field of this item"),
        (HEAD + f'[[templates]]\ncode = "1"\n{TITLE}\nitems = [{{ item = "{DEGREE}" }}, {{ item = "{DEGREE}" }}]',
         "1: items[2].item: is named twice"),
        (HEAD + "#" * rule_files.MAX_BYTES, "rules.toml: is larger than 1024 KiB"),
        (HEAD + "x = " + "[" * 5000, "rules.toml: "),
        (HEAD + "".join(f'[[rules]]\nid = "r{n}"\nlife_days = 1\n' for n in range(2001)), "rules: has more than 2000"),
    ],
)  # fmt: skip
def test_a_wrong_rule_set_is_refused_as_a_whole(registered: Purpose, now: dt.datetime, text: str, said: str) -> None:
    with pytest.raises(InvalidFile) as error:
        load(text, now)
    assert any(said in problem for problem in error.value.problems), error.value.problems
    assert db.session.scalar(select(func.count()).select_from(RuleBook)) == 0


def test_text_that_is_not_utf8_is_refused(app: Flask, now: dt.datetime) -> None:
    with pytest.raises(InvalidFile, match="line 1: is not UTF-8"):
        rule_files.check("rules.toml", b'a = "\xff"', now)


def test_a_set_is_never_edited_and_never_counts_beside_another(registered: Purpose, now: dt.datetime) -> None:
    text = HEAD + RULE + "life_days = 1\n"
    load(text, now)
    assert load(text, now + dt.timedelta(days=1)).known
    with pytest.raises(InvalidFile, match="is in use for other rules"):
        load(text + 'item = "p.*"', now)
    second = text.replace("v1", "v2")
    for moment in (now, now - dt.timedelta(hours=1)):  # at the same time, and by a clock that was set back
        with pytest.raises(InvalidFile, match="is not later than that of v1, so both would count"):
            load(second, moment)
    load(second, now + dt.timedelta(seconds=1))
    assert [b.version for b in rules.books()] == ["v2", "v1"]
    assert db.session.scalar(select(func.count()).where(OperatorEvent.kind == "rules:loaded")) == 2


def test_what_could_never_be_asked_is_neither_registered_nor_approved(
    registered: Purpose, now: dt.datetime, tmp_path: Path
) -> None:
    registered.approved_at = None
    load(
        HEAD + RULE + 'client_class = "bank"\nitem = "p.edu.*"\n'
        'forbidden = { zh_hans = "不可以", zh_hant = "不可以", en = "Not for banks" }\n', now,
    )  # fmt: skip
    with pytest.raises(AgainstRules, match="forbidden here by rule r"):
        proposals.approve(
            "bank", registered.code, now, expected_digest=proposals.digest(registered), actor_id="a", reason_code="b",
            text="c",
        )  # fmt: skip
    entry = scenarios.Entry("s.toml", "purposes", "x", _purpose_entry(registered), sound=True)
    assert scenarios.check_meaning([entry], now, here=EVERYTHING) == [
        "s.toml: x: forbidden: item p.edu.degree is forbidden here by rule r: Not for banks"
    ]


def _purpose_entry(row: Purpose) -> dict[str, Any]:
    entry = proposals.document(row) | {"client_id": "bank", "scenario": "1", "legal_basis": "consent"}
    entry["items"] = [i for i in entry["items"] if i["item"] == "p.edu.degree"]
    return entry


def test_live_consents_that_would_be_refused_are_counted_by_rule(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    others = [factories.consent(factories.ask(world.purpose, now, duration_days=5), world.actor, now) for _ in range(2)]
    draft = rule_files.check("r", f"{HEAD}{RULE}life_days = 10\n".encode(), now)
    found = [r for batch in rule_preview.refused(draft.as_rules()) for r in batch]
    assert [(r.consent_id, r.rule_id) for r in found] == [(world.consent.consent_id, "r")]
    assert "duration: 30 is more than the cap of 10" in found[0].what
    assert rule_preview.count_live() == len(others) + 1
    assert [len(b) for b in rule_preview.refused(draft.as_rules(), limit=2)] in ([0], [1])


def test_c09_what_the_demonstration_asks_by_itself_is_usual_and_more_is_marked(app: Flask, now: dt.datetime) -> None:
    test_the_demonstration_is_within_its_rules(app, now)
    marked = {}
    with app.test_request_context(), force_locale("en"):
        for row in db.session.scalars(select(Purpose).order_by(Purpose.client_id, Purpose.code)):
            ask = factories.ask(row, now)
            assert ask.usual, row.code
            assert list(words.unusual(ask, ask.usual)) == [], row.code
            longest = factories.ask(row, now, duration_days=row.max_duration_days)
            marked[row.code] = list(words.unusual(longest, longest.usual))
    assert marked["card-limit-review"] == []  # it asks for no more than its default
    assert marked["post-loan-monitoring"] == ["This is longer than usual for this purpose: usually 180 days."]


def test_c09_what_a_rule_set_calls_usual_is_marked_on_the_page_and_in_the_receipt(
    registered: Purpose, now: dt.datetime
) -> None:
    lab = factories.item(now, "p.health.lab", ("month", "value"), many=True, period_field="month")
    load(
        f'{HEAD}[[templates]]\ncode = "1"\n{TITLE}\n'
        'usual = { duration_days = 14, look_back_months = 6, frequency = { n = 1, unit = "week" } }\n'
        'items = [{ item = "p.edu.degree" }, { item = "p.health.lab" }]\n', now,
    )  # fmt: skip
    registered.items = [i | {"max_months": 12} for i in factories.purpose(now, code="x", required=[lab]).items]
    person = factories.holder(now)
    db.session.commit()
    visitor = Visitor(current_app.test_client()).sign_in(person, now)
    sentences = (
        "This is longer than usual for this purpose: usually 14 days.",
        "It looks further back than usual: usually 6 months.",
        "It reads more often than usual: usually at most 1 time a week.",
    )
    page = visitor.get(visitor.asked(factories.ask(registered, now), now))
    assert [s for s in sentences if s not in page.says] == []
    visitor.tap("Agree")
    consent = db.session.scalars(select(Consent)).one()
    page = visitor.get(f"/authorizations/{consent.consent_id}/receipt")
    assert [s for s in sentences if s not in page.says] == []
    within = AskedItem(item_id="p.health.lab", months=6)
    registered.frequency = {"n": 1, "unit": "month"}
    db.session.commit()
    ask = factories.ask(registered, now, items=(within,), duration_days=14)
    assert "than usual" not in visitor.get(visitor.asked(ask, now)).says
    registered.frequency = None  # as often as they like
    db.session.commit()
    ask = factories.ask(registered, now, items=(within,), duration_days=14)
    page = visitor.get(visitor.asked(ask, now))
    assert [s for s in sentences if s in page.says] == [sentences[2]]


def test_the_demonstration_is_within_its_rules(app: Flask, now: dt.datetime) -> None:
    catalogue.load([ROOT / "demonstration/catalogue"], now)
    path = ROOT / "demonstration/scenarios.toml"
    scenarios.load([path], now, actor_id="command", here=EVERYTHING)
    data = (ROOT / "demonstration/rules.toml").read_bytes()
    draft = rule_files.check("rules.toml", data, now)
    rule_files.store(draft, now, actor_id="command", reason_code=None, text="test")
    assert rule_files.without_template(draft) == []
    for row in db.session.scalars(select(Purpose)):
        ask = factories.ask(row, now, duration_days=row.max_duration_days)
        assert ask.frequency == row.frequency
        for item, registered in zip(ask.items, row.items, strict=True):
            assert catalogue.months_between(item.period_from, item.period_to) == registered.get("max_months")
    assert {s.outcome for s in scenarios.load([path], now, actor_id="c", here=EVERYTHING)} == {"unchanged"}


@pytest.mark.parametrize("item_id", ["p.health.summary", "p.family.marriage", "p.credit.public"])
def test_a_recruiter_cannot_even_register_health_marriage_or_credit(app: Flask, now: dt.datetime, item_id: str) -> None:
    test_the_demonstration_is_within_its_rules(app, now)
    row = db.session.get_one(Purpose, ("suicai-recruit", "background-check"))
    row.items = [*row.items, row.items[0] | {"item": item_id, "fields": []}]
    against = purposes.never_admitted(row, rules.in_force(now))
    assert against[0].cap == "forbidden"
    with pytest.raises(InvalidTerms, match="A job must not depend on"):
        factories.ask(row, now, items=(AskedItem(item_id=item_id),))


def test_a_bank_reaches_24_months_back_at_most(app: Flask, now: dt.datetime) -> None:
    test_the_demonstration_is_within_its_rules(app, now)
    row = db.session.get_one(Purpose, ("lingnan-bank", "working-capital-loan"))
    row.items = [i | {"max_months": 36} if "max_months" in i else i for i in row.items]
    with pytest.raises(InvalidTerms, match="36 is more than the cap of 24 set by rule bank-look-back"):
        factories.ask(row, now, items=(AskedItem(item_id="e.tax.vat", months=36),))


def test_the_class_of_a_client_is_one_of_the_known_words(app: Flask, now: dt.datetime) -> None:
    client = factories.party(now).client
    client.client_class = "bakery"
    assert [flaw.field for flaw in clients.flaws(client, here=EVERYTHING)] == ["client_class"]


COMMANDS_RULES = HEAD + RULE + "life_days = 10\n"


def test_commands_preview_load_and_list(app: Flask, now: dt.datetime, tmp_path: Path) -> None:
    world = factories.world(now)
    path = tmp_path / "rules.toml"
    path.write_text(COMMANDS_RULES, "utf-8")
    run = app.test_cli_runner().invoke
    assert "No rule set is loaded" in run(args=["rules", "list"]).output
    for arguments in (["check"], ["load", "--dry-run"], ["check", "--all"]):
        output = run(args=["rules", *arguments, str(path)]).output
        assert "added: rule r" in output
        assert "1 of 1 live consents would be refused today." in output
        assert world.consent.consent_id in output
        assert "without template: bank/loan-review" in output
    assert db.session.scalar(select(func.count()).select_from(RuleBook)) == 0
    assert "v1: 1 rules and 0 templates, in force from" in run(args=["rules", "load", str(path)]).output
    assert "loaded already" in run(args=["rules", "load", str(path)]).output
    assert "in force" in run(args=["rules", "list"]).output
    path.write_text(COMMANDS_RULES.replace("10", "11"), "utf-8")
    for arguments in (["load"], ["check"], ["load", "--valid-from", "soon"]):
        answer = run(args=["rules", *arguments, str(path)])
        assert answer.exit_code == 1
        assert "rules.toml: rule_set." in answer.output
    path.write_bytes(b"#" * (rule_files.MAX_BYTES + 1))
    assert "larger than" in run(args=["rules", "check", str(path)]).output
