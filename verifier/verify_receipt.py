#!/usr/bin/env python3
"""Checks a receipt of the data space authorization service, without the service and without a network.

    python verify_receipt.py receipt.json --keys keys.json

receipt.json is a receipt as its holder downloads it (the readable JSON file, or the compact JWS). keys.json is the
service's public key set, from /receipts/keys; get it once, from the service itself, and keep it.

Exit status: 0 the receipt is genuine and unchanged; 1 it is not; 2 it could not be checked (a file is missing, or is
not what it should be). Needs Python 3.11 and the package "cryptography"; shares no code with the service.
"""

import argparse
import base64
import datetime as dt
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

SCHEMA, TYP, MAX_BYTES = "gd-dsa-receipt/1", "dsa-receipt+json", 256 * 1024
LEEWAY = dt.timedelta(minutes=5)  # how far the clock of this computer may be behind
LANGUAGES = {"zh": "zh_hans", "en": "en"}
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


class Refused(Exception):
    """Why a receipt is not to be believed, or could not be read; one sentence in two languages."""

    def __init__(self, english: str, chinese: str, *, status: int = 1) -> None:
        super().__init__(english)
        self.sentence, self.status = {"en": english, "zh": chinese}, status


def canonical(value: Any) -> bytes:
    """RFC 8785, for what receipts consist of: no fractions, and names in ASCII."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def sha256(value: Any) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else canonical(value)).hexdigest()


def parse(raw: bytes) -> Any:
    """JSON in which nothing can hide: no fraction, no number that is none, no name twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _value in pairs}) != len(pairs) or not all(name.isascii() for name, _ in pairs):
            raise ValueError("a name twice, or not in ASCII")
        return dict(pairs)

    def never(text: str) -> NoReturn:
        raise ValueError(text)

    return json.loads(raw.decode(), object_pairs_hook=once, parse_float=never, parse_constant=never)


def unbase64(text: str) -> bytes:
    """base64url without padding, in the one spelling that each value has."""
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(value).rstrip(b"=").decode() != text:
        raise ValueError("not base64url")
    return value


def load_keys(path: Path) -> dict[str, ec.EllipticCurvePublicKey]:
    """The keys of a JWK set by which receipts can be signed: ES256, by kid."""
    try:
        found = {}
        for jwk in json.loads(path.read_bytes())["keys"]:
            if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256" and jwk.get("use", "sig") == "sig":
                point = b"\x04" + unbase64(jwk["x"]) + unbase64(jwk["y"])
                found[jwk["kid"]] = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except OSError:
        raise Refused(f"The key file {path} cannot be opened.", f"无法打开密钥文件 {path}。", status=2) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(f"{path} is not a set of public keys.", f"{path} 不是公钥文件。", status=2) from None
    return found


def load_receipt(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        raise Refused(f"The file {path} cannot be opened.", f"无法打开文件 {path}。", status=2) from None


def take_apart(raw: bytes) -> tuple[str, bytes, str]:
    """(header, payload, signature) of either form; header and signature still in base64url."""
    damaged = Refused("The file is damaged, or is no receipt.", "文件已损坏，或者不是凭据。")
    if len(raw) > MAX_BYTES:
        raise damaged
    try:
        text = raw.strip()
        if not text.startswith(b"{"):
            header, payload, signature = text.decode("ascii").split(".")
            return header, unbase64(payload), signature
        whole = parse(text)
        header, nothing, signature = whole["signature"].split(".")
        if set(whole) != {"receipt", "signature", "evidence"} or nothing or whole["evidence"] is not None:
            raise damaged
        if canonical(whole) != text:
            raise Refused(
                "The file was saved anew in another form. Check the file as it was downloaded.",
                "文件被另存成了别的格式。请核对下载时的原文件。",
            )
        return header, canonical(whole["receipt"]), signature
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged from None


def check_signature(raw: bytes, keys: dict[str, ec.EllipticCurvePublicKey]) -> bytes:
    """The payload that is signed. Says which part was altered, if one was."""
    header64, payload, signature64 = take_apart(raw)
    altered = Refused(*(a.format(parts=b) for a, b in zip(ALTERED, altered_parts(payload), strict=True)))
    try:
        header, signature = parse(unbase64(header64)), unbase64(signature64)
        key = keys.get(header["kid"])
        if header["alg"] != "ES256" or header["typ"] != TYP or len(signature) != 64:
            raise altered
        if key is None:
            raise Refused(
                "It is signed with a key that is not in the key file: it is not from this service, or the key file is "
                "old.",
                "签名所用的密钥不在密钥文件里：凭据不是本平台签发的，或者密钥文件太旧。",
            )
        number = [int.from_bytes(half, "big") for half in (signature[:32], signature[32:])]
        key.verify(encode_dss_signature(*number), f"{header64}.{_base64(payload)}".encode(), ec.ECDSA(hashes.SHA256()))
    except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature):
        raise altered from None
    return payload


ALTERED = (
    "The signature does not match: the receipt was altered, or is not from this service.{parts}",
    "签名不符：凭据被改动过，或者不是本平台签发的。{parts}",
)


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", ""
    if not wrong:
        return "", ""
    return f" What does not match: {'; '.join(named[0])}.", f"不符的内容：{'；'.join(named[1])}。"


def part_name(name: str, part: Any, which: int) -> str:
    if name.startswith("consent/items/"):
        label = part["label"][("en", "zh_hans")[which]] if part else "?"
        return PARTS["consent/items"][which].format(label=label)
    return PARTS.get(name, OTHER_PART)[which].format(name=name.removeprefix("consent/"))


def check(raw: bytes, keys: dict[str, ec.EllipticCurvePublicKey], now: dt.datetime) -> dict[str, Any]:
    """What the receipt says, when all of it holds. Raises Refused."""
    payload = check_signature(raw, keys)
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


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


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
    parser.add_argument("receipt", type=Path, help="the receipt, as JSON file or compact JWS")
    parser.add_argument("--keys", type=Path, required=True, help="the service's public keys, as a JWK set")
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    parser.add_argument("--text", action="store_true", help="also print the text as it was shown")
    options = parser.parse_args(arguments)
    started, now, zh = time.perf_counter(), dt.datetime.now(dt.UTC), options.language == "zh"
    try:
        keys = load_keys(options.keys)
        content = check(load_receipt(options.receipt), keys, now)
    except Refused as refused:
        print(refused.sentence[options.language], file=sys.stderr)
        return refused.status
    took = (time.perf_counter() - started) * 1000
    print(f"凭据真实，内容未被改动（核对用时 {took:.0f} 毫秒）。" if zh else f"Genuine and unchanged ({took:.0f} ms).")
    print("\n".join(describe(content, options.language, now)))
    if options.text:
        print("", content["notice"]["text"], sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
