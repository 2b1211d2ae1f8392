"""The journeys that `make demo` tells: lending, reading, seeing, stopping; also for a company, by an administrator."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask
from flask.testing import FlaskClient

from examples.actors import BankCustomer, Person
from examples.bank.fapi import DataSpaceClient, OAuthRefused
from examples.bank.offers import OFFERS
from examples.browser import Browser
from examples.story import Story

COMPANY = "粤海明珠电子"
VERIFIERS = Path(__file__).parent.parent / "verifier"
PATIENCE = 30  # seconds that a proof may take; it takes one or two


@dataclass
class Stage:
    """Where the journeys play.

    ``codes``: enrolment codes by name; ``bank``: the bank's own client; ``counter``: a screen in a hospital.
    """

    story: Story
    issuer: str
    bank_url: str
    codes: dict[str, str]
    bank: DataSpaceClient
    counter: Flask
    people: dict[str, Person] = field(default_factory=dict)
    application: str = ""  # that the administrator ends
    values: list[str] = field(default_factory=list)  # of the company's records, as the bank got them

    def person(self, name: str) -> Person:
        """A person, always with the same browser."""
        return self.people.setdefault(name, Person(name, self.codes[name], self.issuer, Browser("zh-CN")))

    def customer(self, name: str) -> BankCustomer:
        """The person at the bank."""
        return BankCustomer(self.person(name), self.bank_url)


def over_asking(stage: Stage) -> None:
    """The bank asks what it may not; the machine refuses before anybody sees a page."""
    story = stage.story
    story.chapter("The bank asks for too much")
    honest = OFFERS["housing-loan"].authorization_details("LN-DEMO-1")[0]
    for what, details, said in (
        (
            "an item that is not registered for this purpose",
            [honest | {"items": [{"item": "p.health.lab"}]}],
            "p.health.lab",
        ),
        ("three years where the cap is 14 days", [honest | {"duration": {"days": 1095}}], "cap of 14"),
        ("two purposes at once", [honest, honest | {"purpose": "card-limit-review"}], "exactly one purpose"),
        (
            "36 months of tax where the cap is 24",
            [honest | {"items": [{"item": "p.tax.income", "period": {"months": 36}}]}],
            "cap of 24",
        ),
    ):
        story.step(f"The bank pushes a request for {what}")
        try:
            stage.bank.start(details)
        except OAuthRefused as error:
            story.answer({"error": error.error, "error_description": error.description})
            story.expect(
                "refused with invalid_authorization_details", that=error.error == "invalid_authorization_details"
            )
            story.expect(f"and the sentence names it: {said}", that=said in error.description)
        else:
            story.fail("the request was accepted")


def person_lends(stage: Stage) -> None:
    """A person lends data, the bank reads, the person sees it, stops it; the next read is refused."""
    story, name = stage.story, "陈嘉怡"
    customer, person = stage.customer(name), stage.person(name)
    story.chapter(f"{name} lends data to the bank, and stops it")

    story.step(f"{name} chooses a housing loan at the bank, which sends her to the service")
    customer.apply("housing-loan")
    story.expect("she has to sign in first", that=person.page.path == "/signin")

    story.step("She has no passkey yet: the registrar's code, then a passkey")
    person.enrol(_next_of(person.page.url))
    story.says(person.page.main[:160])
    story.expect("she is back at the bank's request", that=person.page.path.startswith("/consent/"))
    story.expect("the page names the bank", that="岭南示例银行" in person.page.text)

    story.step("She decides: sensitive items on screens of their own; her income she does not give")
    screens = person.decide(skip={"p.tax.income"})
    for screen in screens:
        story.says(screen)
    application = person.page.url
    story.expect("each sensitive item had its own screen", that=len(screens) >= 4)
    story.expect("she is back at the bank", that=application.startswith(f"{stage.bank_url}/applications/"))

    story.step("The bank reads")
    body = customer.let_read(application)
    story.answer(body)
    delivered = [item["item"] for item in body.get("items", [])]
    story.expect("it gets what she gave", that={"p.housing.fund", "p.family.marriage"} <= set(delivered))
    story.expect("and not her income", that="p.tax.income" not in delivered)
    story.expect("every item names its source and time", that=_sourced(body))

    story.step("She looks who read her data")
    person.browser.open(f"{stage.issuer}/reads")
    reference = str(body.get("reference_no"))
    story.says(_from(person.page.main, reference))
    story.expect("the bank's read is there, with its reference number", that=reference in person.page.text)

    _stops(stage, customer, application)
    _keeps_receipt(stage, person)


def at_the_hospital(stage: Stage) -> None:
    """An elderly person at a counter: a QR code on the screen there, the decision on a telephone, one look."""
    story, name = stage.story, "何美玲"
    person, screen = stage.person(name), stage.counter.test_client()
    story.chapter(f"{name} lets a hospital look at earlier results, at its counter")

    story.step("The counter shows a QR code and its letters")
    page = screen.post("/visits")
    counter = str(page.location)
    shown = screen.get(counter).text
    code = _found(r"[B-Z]{4}-[B-Z]{4}", shown)
    story.says(f"{code} · {stage.issuer}/device?user_code={code}")
    story.expect("the page carries the picture", that="data:image/svg+xml" in shown)

    story.step("She scans it with her telephone, signs in and compares the letters")
    person.browser.open(f"{stage.issuer}/device?user_code={code}")
    person.enrol(_next_of(person.page.url))
    story.says(person.page.main[:160])
    story.expect("the page names the hospital and the same letters",
                 that="示例市人民医院" in person.page.text and code in person.page.text)  # fmt: skip
    person.browser.submit(person.page.form("/device$"))

    story.step("She decides on the same pages as everybody; her insurance she does not show")
    for title in person.decide(skip={"p.health.insurance"}):
        story.says(title)
    story.expect("nobody sends her anywhere: the counter sees it", that=person.page.url.startswith(stage.issuer))

    story.step("The counter asks again, and sees it once")
    shown = _seen_at(screen, counter)
    story.expect("the results are on its screen", that="只查看这一次" in shown)
    story.expect("and at the second look no more", that="只查看这一次" not in screen.get(counter).text)


def _seen_at(screen: FlaskClient, address: str) -> str:
    """The counter's page as soon as it shows more than the code."""
    for _attempt in range(30):
        if "请用手机扫码" not in (shown := str(screen.get(address).text)):
            return shown
        time.sleep(1)
    raise LookupError("the counter still shows the code")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise LookupError(pattern)
    return match[0]


def company_lends(stage: Stage) -> None:
    """A company does the same through its legal representative."""
    story, name = stage.story, "李伟强"
    customer, person = stage.customer(name), stage.person(name)
    story.chapter(f"{COMPANY} borrows, through its legal representative {name}")

    story.step(f"{name} chooses a working-capital loan, enrols, and acts for the company")
    customer.apply("working-capital-loan")
    person.enrol(_next_of(person.page.url))
    story.expect("he is asked for whom he is here", that=person.page.path == "/act-as")
    person.act_as(COMPANY)
    story.says(person.page.main[:160])
    story.expect("every page says for whom he acts", that=COMPANY in person.page.text)

    story.step("He agrees, with one optional item")
    person.decide(optional=["e.social.headcount"])
    application = person.page.url
    story.expect("he is back at the bank", that=application.startswith(f"{stage.bank_url}/applications/"))

    story.step("The bank reads the company's data")
    body = customer.let_read(application)
    story.answer(body)
    delivered = {item["item"] for item in body.get("items", [])}
    story.expect("the ticked optional item is there", that="e.social.headcount" in delivered)
    story.expect("the one that was not ticked is not", that="e.customs.trade" not in delivered)
    story.expect("only months that were granted", that=len(_rows(body, "e.energy.power")) == 24)

    _stops(stage, customer, application)


def company_prepares(stage: Stage) -> None:
    """One prepares, another approves."""
    story, preparer, approver = stage.story, stage.person("周敏"), stage.person("李伟强")
    customer = stage.customer("周敏")
    story.chapter(f"At {COMPANY} one prepares and another approves")

    story.step(f"{preparer.name}, the finance manager, prepares the monitoring of the loan")
    customer.apply("post-loan-monitoring")
    preparer.enrol(_next_of(preparer.page.url))
    preparer.act_as(COMPANY)
    preparer.decide()
    waiting = preparer.page.url
    story.says(preparer.page.main[:160])
    story.expect("it waits for a second person", that=preparer.page.path.endswith("/waiting"))

    story.step(f"{approver.name} finds it and approves")
    approver.browser.open(f"{stage.issuer}/authorizations?tab=waiting")
    approver.browser.click(r"^/authorizations/[^?/]+/approve$")
    story.expect("he sees who prepared it", that=preparer.name in approver.page.text)
    approver.browser.submit(approver.page.form("/approve$"), ("decision", "agree"))
    story.expect("it is active", that=approver.page.status == 200 and "/authorizations/" in approver.page.path)

    story.step(f"{preparer.name} goes on to the bank, and the bank reads")
    preparer.browser.open(waiting)
    preparer.browser.submit(preparer.page.form("/return$"))
    application = preparer.page.url
    body = customer.let_read(application)
    story.answer(body)
    story.expect("the bank gets the last three months", that=len(_rows(body, "e.energy.power")) == 3)
    stage.application = application
    stage.values = [str(row["sales"]) for row in _rows(body, "e.tax.vat")]


def administrator_revokes(stage: Stage) -> None:
    """An administrator finds a consent by its reference number and revokes it."""
    story, name, holder = stage.story, "林静", stage.person("周敏")
    administrator = stage.person(name)
    story.chapter(f"{name}, an administrator, revokes")

    application = stage.application
    reference = _reference(application)
    story.step(f"{name} enrols, acts as administrator, and searches for {reference}")
    administrator.enrol("/admin")
    administrator.act_as("administrator")
    browser = administrator.browser
    browser.submit(administrator.page.form("/admin/find$"), q=reference)
    story.expect("the consent is found", that=reference in administrator.page.text)
    browser.click(r"^/admin/consents/[^?/.]+$")
    story.expect("its page shows no value of any record", that=_none_in(stage.values, administrator.page.html))

    story.step("She may not look at the data themselves")
    before = administrator.page.url
    story.expect("the pages of a holder are closed to her", that=browser.open(f"{stage.issuer}/data").status == 403)
    browser.open(before)

    story.step("She revokes, and says why")
    form = administrator.page.form("/revoke$")
    ground = next(o for c in form.controls if c.name == "ground" for o in [*c.options, c.value] if o)
    browser.submit(form, ground=ground, text="示例：接到举报，核实期间撤销。")
    story.expect("it is done", that=administrator.page.status == 200)

    _refused(stage, BankCustomer(holder, stage.bank_url), application, "consent_invalidated")

    story.step(f"{holder.name} sees the reason and whom to call")
    holder.browser.open(f"{stage.issuer}/authorizations?tab=ended")
    holder.browser.click(r"^/authorizations/[^?/]+$")
    story.expect("the administrator's words are there", that="接到举报" in holder.page.text)
    story.expect("and the appeal contact", that="12345" in holder.page.text)


def person_refuses(stage: Stage) -> None:
    """Somebody refuses; the bank is told and gets nothing."""
    story, name = stage.story, "黄建明"
    customer, person = stage.customer(name), stage.person(name)
    story.chapter(f"{name} refuses")
    story.step("He comes from the bank, enrols, and refuses")
    customer.apply("card-limit-review")
    person.enrol(_next_of(person.page.url))
    story.expect("he is asked for whom he is here: himself, or his child", that=person.page.path == "/act-as")
    person.act_as("以本人身份")
    person.refuse()
    story.says(person.page.main[:160])
    story.expect("the bank says that it got nothing", that="access_denied" in person.page.text)
    person.browser.open(f"{stage.issuer}/authorizations?tab=ended")
    story.expect("the refusal is on record", that="岭南示例银行" in person.page.main)


JOURNEYS: tuple[Callable[[Stage], None], ...] = (
    over_asking,
    person_lends,
    at_the_hospital,
    company_lends,
    company_prepares,
    administrator_revokes,
    person_refuses,
)


def _stops(stage: Stage, customer: BankCustomer, application: str) -> None:
    story, person = stage.story, customer.person
    story.step(f"{person.name} stops the authorization")
    person.authorization()
    person.stop()
    story.says(person.page.main[:160])
    _refused(stage, customer, application, "consent_withdrawn")


def _keeps_receipt(stage: Stage, person: Person) -> None:
    """The receipt of stopping is checked by a program that has nothing of the service but its public keys."""
    story, browser = stage.story, person.browser
    story.step(f"{person.name} takes the receipt of it along, and checks it without the service")
    person.authorization(ended=True)
    browser.click(r"^/receipts/")
    story.says(person.page.main[:120])
    with tempfile.TemporaryDirectory(prefix="receipt-") as name:
        folder = Path(name)
        began = time.monotonic()
        receipt = _with_proof(browser, person.page.link(r"/receipt\.json$"))
        story.says(f"its proof is there {time.monotonic() - began:.1f} s after it is asked for")
        (folder / "receipt.json").write_bytes(receipt)
        (folder / "altered.json").write_bytes(receipt.replace(b'"status":"withdrawn"', b'"status":"active"'))
        (folder / "keys.json").write_bytes(browser.download(f"{stage.issuer}/receipts/keys"))
        (folder / "log.vkey").write_bytes(browser.download(f"{stage.issuer}/log/key"))
        keys = ("--keys", "keys.json", "--log-key", "log.vkey")
        status, said = _run(story, folder, "verify_receipt.py", "receipt.json", *keys)
        story.expect("genuine, unchanged, and in the public log", that=status == 0)
        status, said = _run(story, folder, "verify_receipt.py", "altered.json", *keys)
        story.expect("altered by one word it is refused, and the part is named", that=status == 1 and "状态" in said)
        story.step("A stranger reads the whole log, and believes nobody")
        status, said = _run(story, folder, "verify_log.py", f"{stage.issuer}/log", "--key", "log.vkey")
        story.expect("every entry and every tile leads to the head that is signed", that=status == 0)


def _with_proof(browser: Browser, url: str) -> bytes:
    """The file once it brings its proof: the log takes in what happens every second."""
    until = time.monotonic() + PATIENCE
    while b"tlog-proof" not in (receipt := browser.download(url)) and time.monotonic() < until:
        time.sleep(0.1)
    return receipt


def _run(story: Story, folder: Path, program: str, *arguments: str) -> tuple[int, str]:
    """One of the programs that check without the service, and what it says."""
    story.says(f"$ python verifier/{program} {' '.join(arguments)}")
    command = [sys.executable, "-E", "-s", "-X", "utf8", str(VERIFIERS / program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=60, check=False)  # noqa: S603 - our own words
    said = done.stdout + done.stderr
    for line in said.strip().splitlines():
        story.says(line)
    return done.returncode, said


def _refused(stage: Stage, customer: BankCustomer, application: str, reason: str) -> None:
    story = stage.story
    story.step("The bank reads again")
    body = customer.let_read(application)
    story.answer(body)
    story.expect(f"refused: {reason}", that=body.get("code") == reason)
    customer.person.browser.open(f"{stage.issuer}/reads?outcome=refused")
    story.expect(
        "the refused attempt is in the holder's log", that=_reference(application) in customer.person.page.main
    )


def _reference(application_url: str) -> str:
    """The bank's number of an application is the reference number that it gave the service."""
    return application_url.rpartition("/")[2].partition("#")[0]


def _next_of(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query)).get("next", "/")


def _sourced(body: dict[str, Any]) -> bool:
    delivered = [item for item in body.get("items", []) if item.get("status") == "delivered"]
    return bool(delivered) and all(item["source"]["authority"] and item["as_of"] for item in delivered)


def _rows(body: dict[str, Any], item_id: str) -> list[dict[str, Any]]:
    return next((item.get("rows", []) for item in body.get("items", []) if item["item"] == item_id), [])


def _none_in(values: list[str], html: str) -> bool:
    return bool(values) and not any(value in html for value in values)


def _from(text: str, words: str) -> str:
    """The words of a page before and after some of them."""
    at = max(text.find(words) - 100, 0)
    return text[at : at + 160]
