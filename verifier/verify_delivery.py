#!/usr/bin/env python3
"""Checks an answer of the data API that a third party has kept, without the service and without a network.

    python verify_delivery.py answer.jwt --keys keys.json
    python verify_delivery.py answer.jwt --keys keys.json --entry line.json --log-key KEY
    python verify_delivery.py answer.jwt --keys keys.json --package package.zip --log-key KEY

answer.jwt is the answer to "Accept: application/jwt": one signed token. One that was encrypted is for its recipient to
decrypt first; what comes out is checked here. keys.json is the service's public key set, from /receipts/keys.

The log of reads has a line for every answer. With --entry that line is compared with the answer ({entry, proof, salt,
statement}, from /api/v1/deliveries/<delivery_id>/proof or out of a package of evidence), with --package it is looked
for in such a package, which verify_package.py checks itself. The line names the SHA-256 of the answer in its
canonical form (RFC 8785), so that it proves what was delivered also of an answer that was not signed. KEY is the
verifier key of the log, one line, from /log/key, or a file that holds it; without it the line is compared, but not
looked up in the log. With --witness (a verifier key; several, and --quorum) so many of these witnesses must have
cosigned the checkpoint.

Exit status: 0 it holds; 1 something does not match; 2 it could not be checked (a file is missing or is not what it
should be, the answer is encrypted, or bears no signature and comes without its line). Needs Python 3.11, the package
"cryptography", and access_line.py, cosignatures.py, signed.py, tlog.py, verify_archive.py, verify_certificate.py and
verify_receipt.py beside it; shares no code with the service.
"""

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import Any, NamedTuple

import access_line
import cosignatures
import tlog
from access_line import Expected, shown
from cosignatures import NOBODY, Witnesses
from signed import (
    LANGUAGES,
    LEEWAY,
    WRONG,
    Keys,
    Refused,
    Sentence,
    UnknownKey,
    check_jws,
    load_keys,
    parse,
    read_file,
    sha256,
    unbase64,
)

TYP = "delivery+jwt"
SCHEMAS = ("gd-dsa-delivery/1", "gd-dsa-comparison/1")
MAX_BYTES = 64 * 1024 * 1024
STATUS = {
    "delivered": ("delivered", "已提供"),
    "missing": ("the space held no such record", "空间里没有这项记录"),
    "regraded": ("held back: its holder had to decide on it again", "未提供：须由本人重新决定"),
}
MATCH = {True: ("compared: it matches", "比对：一致"), False: ("compared: no match", "比对：不一致")}
GENUINE = ("Genuine and unchanged.", "应答真实，内容未被改动。")
NO_END = (
    "It has no end: it proves what was delivered then, and allows nothing.",
    "它没有有效期：只证明当时提供了什么，不是读取的许可。",
)
AS_IN_LOG = ("It bears no signature, but the log has it as it is.", "应答没有签名，但与存证链里的记录一致。")


class Answer(NamedTuple):
    """What was delivered, and what is signed around it; ``claims`` None: the answer bears no signature."""

    body: dict[str, Any]
    claims: dict[str, Any] | None


def check(raw: bytes, keys: Keys, now: dt.datetime, recipient: str | None = None) -> Answer:
    """The answer, when its signature and its dates hold. ``recipient``: whom it must be for. Raises Refused."""
    text = raw.strip()
    if len(raw) > MAX_BYTES:
        raise no_answer()
    if text.startswith(b"{"):
        return Answer(checked_body(parsed(text)), None)
    parts = text.split(b".")
    if len(parts) == 5:
        raise Refused(
            "It is encrypted: only its recipient can read it. Decrypt it with the recipient's key, and check the "
            "signed answer that comes out.",
            "文件已加密，只有接收方能读。请先由接收方用自己的密钥解密，再核对解密得到的签名文件。",
            status=2,
        )
    if len(parts) != 3:
        raise no_answer()
    claims = checked_claims(*parts, keys=keys)
    check_dates(claims, now)
    if recipient is not None and claims["aud"] != recipient:
        to = shown(claims["aud"])
        raise Refused(f"It was delivered to somebody else: {to}.", f"它是提供给别人的：{to}。")
    return Answer(checked_body(claims["delivery"]), claims)


def no_answer() -> Refused:
    return Refused("The file is damaged, or is no answer of the data API.", "文件已损坏，或者不是数据接口的应答。")


def another_form() -> Refused:
    return Refused("It is of another form: take a newer verifier.", "格式不同，请用新版程序核对。")


def parsed(text: bytes) -> Any:
    try:
        return parse(text)
    except WRONG:
        raise no_answer() from None


def checked_claims(header: bytes, payload: bytes, signature: bytes, *, keys: Keys) -> dict[str, Any]:
    """What is signed around an answer. Raises Refused."""
    try:
        content = unbase64(payload.decode("ascii"))
        check_jws(header.decode("ascii"), content, signature.decode("ascii"), keys=keys, typ=TYP)
    except UnknownKey:
        raise Refused(
            "It is signed with a key that is not in the key file: it is not from this service, or the key file is old.",
            "签名所用的密钥不在密钥文件里：不是本平台签发的，或者密钥文件太旧。",
        ) from None
    except WRONG:
        raise Refused(
            "The signature does not match: the answer was altered, or is not from this service.",
            "签名不符：应答被改动过，或者不是本平台签发的。",
        ) from None
    claims = parsed(content)
    try:
        same = claims["jti"] == claims["delivery"]["delivery_id"]
        fits = isinstance(claims["iss"], str) and isinstance(claims["aud"], str) and type(claims["iat"]) is int
    except WRONG:
        raise another_form() from None
    if not fits:
        raise another_form()
    if not same:
        raise Refused("Signed, but the two numbers of the delivery differ.", "签名有效，但两处读取编号不一致。")
    return dict(claims)


def checked_body(body: Any) -> dict[str, Any]:
    """An answer whose form is known. Raises Refused."""
    try:
        known = body["schema"] in SCHEMAS and isinstance(body["delivery_id"], str)
        describe_items(body, 0)
        under(body, 0)
    except WRONG:
        raise another_form() from None
    if not known:
        raise another_form()
    return dict(body)


def check_dates(claims: dict[str, Any], now: dt.datetime) -> None:
    """Answers of the service have no end; one that names an end is held to it. Raises Refused."""
    try:
        made, ends = at(claims["iat"]), at(claims["exp"]) if "exp" in claims else None
    except (*WRONG, OverflowError, OSError):
        raise another_form() from None
    if made > now + LEEWAY:
        raise Refused("Signed, but it says that it is of the future.", "签名有效，但签发时间晚于现在。")
    if ends is not None and ends <= now:
        raise Refused(f"Signed, but it was valid until {ends} only.", f"签名有效，但有效期到 {ends} 为止。")


def check_with_line(
    answer: Answer, line: Any, log_key: str | None, witnesses: Witnesses = NOBODY, recipient: str | None = None
) -> list[Sentence]:
    """The verdict first. ``line``: None when none was brought; ``recipient``: of an answer that names none itself.

    Raises Refused.
    """
    if answer.claims is None and (log_key is None or not access_line.covers(line)):
        raise Refused(
            "It bears no signature. Without its line in the log of reads, with the digest of the answer, and the log's "
            "key, nothing of it can be checked.",
            "应答没有签名。须有含摘要的读取记录和存证链公钥，才能核对。",
            status=2,
        )
    verdict = [GENUINE, NO_END] if answer.claims is not None else [AS_IN_LOG]
    if line is None:
        return verdict
    expected = Expected(
        delivery_id=answer.body["delivery_id"],
        recipient=answer.claims["aud"] if answer.claims is not None else recipient,
        rests_on=rests_on(answer.body),
        digest=sha256(answer.body),
    )
    return verdict + access_line.check(line, expected, log_key, witnesses)


# In words


def describe(answer: Answer, which: int) -> list[str]:
    """Who, what, when; ``which`` 0 in English, 1 in Chinese."""
    body, claims = answer.body, answer.claims
    rows = [(("Delivery", "读取编号"), body["delivery_id"])]
    if claims is not None:
        rows += [(("From", "签发"), claims["iss"]), (("To", "接收方"), claims["aud"])]
        rows += [(("When", "时间"), at(claims["iat"]).isoformat().replace("+00:00", "Z"))]
    rows += [(("Under", "依据"), under(body, which))]
    if body.get("reference_no"):
        rows += [(("Reference number", "业务编号"), body["reference_no"])]
    lines = [f"  {label[which]}: {shown(value)}" for label, value in rows]
    return lines + [f"  {('Data', '数据')[which]}: {shown(said)}" for said in describe_items(body, which)]


def rests_on(body: dict[str, Any]) -> tuple[Any, Any]:
    """The consent, or the power of a read by law, and its version."""
    if "by_law" in body:
        return body["by_law"]["power"], body["by_law"]["version"]
    return body["consent"]["id"], body["consent"]["version"]


def under(body: dict[str, Any], which: int) -> str:
    name, version = rests_on(body)
    if "by_law" in body:
        return (f"by law, power {name}, version {version}", f"依法读取，权限 {name} 第 {version} 版")[which]
    return (f"authorization {name}, version {version}", f"授权 {name} 第 {version} 版")[which]


def describe_items(body: dict[str, Any], which: int) -> list[str]:
    found = []
    for item in body["items"]:
        status = MATCH[item["match"]] if item["status"] == "compared" else STATUS[item["status"]]
        said = f"{item['item']} ({item['delivery']}): {status[which]}"
        if "source" in item:
            authority, as_of = item["source"]["authority"][("en", "zh_hans")[which]], item["as_of"]
            said += (f", from {authority}, as of {as_of}", f"，来源：{authority}，截至 {as_of}")[which]
            if item["source"].get("silent_since"):
                since = item["source"]["silent_since"]
                said += (f", its source silent since {since}", f"，来源自 {since} 起没有更新")[which]
        if "page" in item:
            first, last, of = (item["page"][name] for name in ("from", "to", "of"))
            said += (f"; rows {first} to {last} of {of}", f"；第 {first} 至 {last} 行，共 {of} 行")[which]
        if item.get("withheld"):
            said += ("; not granted: ", "；未授权：")[which] + ", ".join(item["withheld"])
        found.append(said)
    return found


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answer", type=Path, help="the answer, as one signed token (or plain JSON, with its line)")
    parser.add_argument("--keys", type=Path, required=True, help="the service's public keys, as a JWK set")
    parser.add_argument("--recipient", help="the client_id that it has to be for")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--entry", type=Path, help="its line in the log of reads, with its proof")
    source.add_argument("--package", type=Path, help="a package of evidence in which its line is")
    parser.add_argument("--log-key", help="the verifier key of the service's log, or a file with it")
    cosignatures.add_arguments(parser)
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    given = parser.parse_args(arguments)
    if given.witness and not (given.log_key and (given.entry or given.package)):
        parser.error("a witness cosigns a checkpoint: name the line and the log's key with --log-key")
    which = int(given.language == "zh")
    try:
        answer = check(
            read_file(given.answer, MAX_BYTES), load_keys(given.keys), dt.datetime.now(dt.UTC), given.recipient
        )
        line = access_line.load(given.entry) if given.entry else None
        if given.package:
            line = access_line.find(given.package, answer.body["delivery_id"])
        log_key = tlog.load_key(given.log_key) if given.log_key else None
        told = check_with_line(answer, line, log_key, cosignatures.load(given), given.recipient)
    except Refused as refused:
        print(refused.sentence[given.language], file=sys.stderr)
        return refused.status
    print("\n".join([told[0][which], *describe(answer, which), *(f"  {said[which]}" for said in told[1:])]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
