#!/usr/bin/env python3
"""Checks a receipt of the data space authorization service, without the service and without a network.

    python verify_receipt.py receipt.json --keys keys.json --log-key KEY

receipt.json is a receipt as its holder downloads it: the readable JSON file, the PDF (which carries that file), or
the compact JWS. keys.json is the service's public key set, from /receipts/keys. KEY is the verifier key of the
service's public log, one line, from /log/key, or a file that holds it. Get both once, from the service itself, and
keep them.

The file brings the proof that the receipt is in the log, or --proof names it (proof.json beside a JWS). One that was
downloaded within a second or two of being written has none yet: it is there with the next download. Without --log-key
the proof is not checked, and the program says so. With --witness (a verifier key; several, and --quorum) so many of
these witnesses must have cosigned the checkpoint to which the proof leads.

Exit status: 0 the receipt is genuine and unchanged, and in the log if --log-key is given; 1 it is not; 2 it could not
be checked (a file is missing, is not what it should be, or has no proof yet). Needs Python 3.11, the package
"cryptography", and cosignatures.py, signed.py and tlog.py beside it; shares no code with the service.
"""

import argparse
import datetime as dt
import re
import sys
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import cosignatures
import tlog
from cosignatures import NOBODY, Witnesses
from signed import (
    LANGUAGES,
    LEEWAY,
    WRONG,
    Keys,
    Refused,
    Sentence,
    UnknownKey,
    canonical,
    check_jws,
    load_keys,
    moment,
    parse,
    read_file,
    sha256,
    unbase64,
)

SCHEMA, TYP, MAX_BYTES = "gd-dsa-receipt/1", "dsa-receipt+json", 256 * 1024
_CARRIED = re.compile(rb"/Type /EmbeddedFile[^<>]{0,200}>>\s{1,4}stream\r?\n")  # as the service writes it
# What the parts of a receipt are called: (English, Chinese).
PARTS = {
    "head": ("its number, date or state", "凭据的编号、日期或状态"),
    "words": ("the sentence that says what happened", "说明发生了什么的那句话"),
    "event": ("the event: when, by whom, in which way", "事件：时间、经手人和方式"),
    "notice": ("the text as it was shown", "当时显示的文字"),
    "consent/head": ("the consent's number, version or date", "授权的编号、版本或日期"),
    "consent/recipient": ("who receives the data", "接收数据的一方"),
    "consent/purpose": ("what for", "用途"),
    "consent/use": ("how long and how often it may be read", "读取的期限和次数"),
    "consent/retention": ("how long the data is kept", "对方保存多久"),
    "consent/third_parties": ("to whom else it is given", "还会给到谁"),
    "consent/cross_border": ("where abroad it goes", "出境去向"),
    "consent/items": ("a data item: {label}", "数据项：{label}"),
}
# What has become of a part, for a receipt of a change: (English, Chinese).
KINDS = {
    "new": ("new", "新增"),
    "removed": ("no longer given", "不再提供"),
    "longer": ("longer", "变长"),
    "shorter": ("shorter", "变短"),
    "more": ("more", "变多"),
    "less": ("less", "变少"),
    "changed": ("changed", "有变更"),
}
OTHER_PART = ("a part of the consent ({name})", "授权中的一部分（{name}）")


class Brought(NamedTuple):
    """A receipt as it lies in a file; header and signature still in base64url. Nothing of it is checked."""

    header: str
    payload: bytes
    signature: str
    evidence: Any


def take_apart(raw: bytes) -> Brought:
    """A receipt in any of its forms. Raises Refused."""
    damaged = Refused("The file is damaged, or is no receipt.", "文件已损坏，或者不是凭据。")
    if len(raw) > MAX_BYTES:
        raise damaged
    try:
        text = carried(raw) if raw.startswith(b"%PDF-") else raw.strip()
        if not text.startswith(b"{"):
            header, payload, signature = text.decode("ascii").split(".")
            return Brought(header, unbase64(payload), signature, None)
        whole = parse(text)
        header, nothing, signature = whole["signature"].split(".")
        if set(whole) != {"receipt", "signature", "evidence"} or nothing:
            raise damaged
        if canonical(whole) != text:
            raise Refused(
                "The file was saved anew in another form. Check the file as it was downloaded.",
                "文件被另存成了别的格式。请核对下载时的原文件。",
            )
        return Brought(header, canonical(whole["receipt"]), signature, whole["evidence"])
    except WRONG:
        raise damaged from None


def carried(pdf: bytes) -> bytes:
    """The signed file that a PDF of the service carries. Raises ValueError when there is none, or not one only."""
    places = [match.end() for match in _CARRIED.finditer(pdf)]
    if len(places) != 1:
        raise ValueError("not one file in it")
    opened = zlib.decompressobj()
    try:
        return opened.decompress(pdf[places[0] :], MAX_BYTES)
    except zlib.error:
        raise ValueError("damaged") from None


def check_signature(brought: Brought, keys: Keys) -> None:
    """Says which part was altered, if one was. Raises Refused."""
    try:
        check_jws(brought.header, brought.payload, brought.signature, keys=keys, typ=TYP)
    except UnknownKey:
        raise Refused(
            "It is signed with a key that is not in the key file: it is not from this service, or the key file is old.",
            "签名所用的密钥不在密钥文件里：凭据不是本平台签发的，或者密钥文件太旧。",
        ) from None
    except ValueError:
        parts = altered_parts(brought.payload)
        raise Refused(*(a.format(parts=b) for a, b in zip(ALTERED, parts, strict=True))) from None


ALTERED = (
    "The signature does not match: the receipt was altered, or is not from this service.{parts}",
    "签名不符：凭据被改动过，或者不是本平台签发的。{parts}",
)


def parts_of(content: dict[str, Any]) -> dict[str, Any]:
    """The parts that have a digest of their own, by name."""

    def split(prefix: str, members: dict[str, Any]) -> dict[str, Any]:
        blocks = {prefix + name: part for name, part in members.items() if isinstance(part, dict | list)}
        return blocks | {f"{prefix}head": {n: p for n, p in members.items() if prefix + n not in blocks}}

    found = split("", {n: p for n, p in content.items() if n not in ("consent", "digests")})
    found |= split("consent/", content["consent"])
    items = found.pop("consent/items")
    return found | {f"consent/items/{n}": item for n, item in enumerate(items)}


def altered_parts(payload: bytes) -> tuple[str, str]:
    """(English, Chinese): which parts do not fit their digests; empty when that cannot be told."""
    try:
        content = parse(payload)
        parts, digests = parts_of(content), content["digests"]
        wrong = [name for name in sorted({*parts, *digests}) if sha256(parts.get(name)) != digests.get(name)]
        named = [[part_name(name, parts.get(name), which) for name in wrong] for which in (0, 1)]
    except WRONG:
        return "", ""
    if not wrong:
        return "", ""
    return f" What does not match: {'; '.join(named[0])}.", f"不符的内容：{'；'.join(named[1])}。"


def part_name(name: str, part: Any, which: int) -> str:
    if name.startswith("consent/items/"):
        label = part["label"][("en", "zh_hans")[which]] if part else "?"
        return PARTS["consent/items"][which].format(label=label)
    return PARTS.get(name, OTHER_PART)[which].format(name=name.removeprefix("consent/"))


def check(raw: bytes, keys: Keys, now: dt.datetime) -> dict[str, Any]:
    """What the receipt says, when all of it holds but for the proof from the log. Raises Refused."""
    return check_content(take_apart(raw), keys, now)


def check_content(brought: Brought, keys: Keys, now: dt.datetime) -> dict[str, Any]:
    """The same, of a file that is open. Raises Refused."""
    check_signature(brought, keys)
    payload = brought.payload
    content: dict[str, Any] = parse(payload)
    if content.get("schema") != SCHEMA:
        raise Refused("Signed, but of another form: take a newer verifier.", "签名有效，但格式不同，请用新版程序核对。")
    consent, event, notice = content["consent"], content["event"], content["notice"]
    own = event["capacity"] != "administrator"  # a receipt does not name the administrator, the event's digest does
    facts = {name: value for name, value in event.items() if name != "digest"}
    holds = {
        "canonical form": canonical(content) == payload,
        "parts": {name: sha256(part) for name, part in parts_of(content).items()} == content["digests"],
        "consent": f"sha-256:{sha256(consent)}" == content["consent_digest"],
        "text as shown": notice["digest"] == consent["notice"]["digest"]
        and sha256(notice["text"].encode()) == notice["digest"],
        "event": not own or sha256(facts | {"consent_id": consent["consent_id"]}) == event["digest"],
        "dates": moment(event["at"]) <= moment(content["issued_at"]) <= now + LEEWAY
        and moment(consent["use"]["not_before"]) <= moment(consent["use"]["expires_at"]),
    }
    if wrong := [name for name, fine in holds.items() if not fine]:
        listed = ", ".join(wrong)
        raise Refused(f"Signed, but it contradicts itself: {listed}.", f"签名有效，但内容前后矛盾：{listed}。")
    return content


def check_in_log(brought: Brought, evidence: Any, log_key: str | None, witnesses: Witnesses = NOBODY) -> Sentence:
    """That this very receipt is in the log, or why that was not checked, in words. Raises Refused."""
    if evidence is None and log_key is None:
        return (
            "It carries no proof from the public log: that comes a second or two later, with the next download.",
            "文件里还没有存证链的证明：凭据写成一两秒后才有，再下载一次即可。",
        )
    if evidence is None:
        raise Refused(
            "The receipt is genuine, but it carries no proof from the public log. Download it again.",
            "凭据真实，但文件里没有存证链的证明，请重新下载。",
            status=2,
        )
    statement, _entry, _proof = tlog.check_statement(evidence)
    about = {"kind": "receipt", "receipt_id": parse(brought.payload)["receipt_id"], "digest": sha256(brought.payload)}
    if {name: statement.get(name) for name in about} != about:
        raise Refused(
            "The receipt is genuine, but the proof from the log is about something else.",
            "凭据真实，但所附的存证链证明说的是另一件事。",
        )
    if log_key is None:
        return (
            "It carries a proof from the public log, which was not checked: name the log's key with --log-key.",
            "文件附有存证链的证明，但没有核对：请用 --log-key 指定存证链公钥。",
        )
    try:
        found = tlog.check_evidence(evidence, log_key)
        by = cosignatures.check(evidence["proof"].encode(), witnesses)
        return cosignatures.joined([tlog.in_words(found), *by])
    except Refused as refused:
        said = refused.sentence
        raise Refused(
            f"The receipt is genuine, but its proof from the log does not hold. {said['en']}",
            f"凭据真实，但存证链证明不成立。{said['zh']}",
        ) from None


def load_evidence(path: Path) -> Any:
    """The proof of a file of its own. Raises Refused."""
    raw = read_file(path, tlog.MAX_PROOF)
    try:
        return parse(raw)
    except WRONG:
        raise Refused(f"{path} is no proof.", f"{path} 不是存证链证明。", status=2) from None


def describe(content: dict[str, Any], language: str, now: dt.datetime) -> list[str]:
    """What the receipt says, in plain words."""
    consent, key, zh = content["consent"], LANGUAGES[language], language == "zh"
    party, use = consent["recipient"], consent["use"]
    given = [item["label"][key] for item in consent["items"] if item["chosen"]]
    over = now >= moment(use["expires_at"])
    labels = (
        ("凭据编号", "签发时间", "事项", "接收方", "用途", "数据", "期限", "保存", "签发时状态")
        if zh
        else ("Receipt", "Issued", "What happened", "Who", "What for", "Data", "Time", "They keep it", "State then")
    )
    values = (
        content["receipt_id"],
        content["issued_at"],
        content["words"]["what"][key],
        " ".join(filter(None, (party["legal_name"][key], party["uscc"] or party["foreign_registration"]))),
        consent["purpose"]["text"][key],
        ("、" if zh else ", ").join(given) or ("无" if zh else "none"),
        f"{use['not_before']} – {use['expires_at']}" + ((" （已过）" if zh else " (over)") if over else ""),
        consent["retention"]["text"][key],
        content["status"],
    )
    lines = [f"  {label}: {value}" for label, value in zip(labels, values, strict=True)]
    changed = [f"  {'变更' if zh else 'Changed'}: {line}" for line in changes(content, int(zh))]
    return [*lines[:3], *changed, *lines[3:]]


def changes(content: dict[str, Any], which: int) -> list[str]:
    """What the event has changed, each with what it is called; the values where they are numbers or words."""
    items = {item["item_id"]: item["label"][("en", "zh_hans")[which]] for item in content["consent"]["items"]}
    found = []
    for change in content["event"]["changes"] or ():
        block, _slash, rest = change["attribute"].partition("/")
        name = PARTS.get(f"consent/{block}", OTHER_PART)[which].format(
            label=items.get(rest.partition("/")[0], "?"), name=block
        )
        was = [str(v) for v in (change["before"], change["after"]) if isinstance(v, str | int)]
        found.append(f"{name}: {KINDS[change['kind']][which]}" + (f" ({' → '.join(was)})" if was else ""))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("receipt", type=Path, help="the receipt, as JSON file, PDF or compact JWS")
    parser.add_argument("--keys", type=Path, required=True, help="the service's public keys, as a JWK set")
    parser.add_argument("--log-key", help="the verifier key of the service's log, or a file with it")
    parser.add_argument("--proof", type=Path, help="the proof from the log, when the receipt is a compact JWS")
    cosignatures.add_arguments(parser)
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    parser.add_argument("--text", action="store_true", help="also print the text as it was shown")
    options = parser.parse_args(arguments)
    if options.witness and not options.log_key:
        parser.error("a witness cosigns a checkpoint: name the log's key with --log-key")
    started, now, which = time.perf_counter(), dt.datetime.now(dt.UTC), int(options.language == "zh")
    try:
        brought = take_apart(read_file(options.receipt, MAX_BYTES))
        content = check_content(brought, load_keys(options.keys), now)
        evidence = load_evidence(options.proof) if options.proof else brought.evidence
        log_key = tlog.load_key(options.log_key) if options.log_key else None
        in_log = check_in_log(brought, evidence, log_key, cosignatures.load(options))
    except Refused as refused:
        print(refused.sentence[options.language], file=sys.stderr)
        return refused.status
    took = (time.perf_counter() - started) * 1000
    print((f"Genuine and unchanged ({took:.0f} ms).", f"凭据真实，内容未被改动（核对用时 {took:.0f} 毫秒）。")[which])
    print("\n".join(describe(content, options.language, now)))
    print(f"  {in_log[which]}")
    if options.text:
        print("", content["notice"]["text"], sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
