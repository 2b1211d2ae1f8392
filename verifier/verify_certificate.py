#!/usr/bin/env python3
"""Checks a certificate over data of the data space authorization service, without the service and without a network.

    python verify_certificate.py certificate.sd-jwt --keys keys.json --status status.jwt

certificate.sd-jwt is a certificate as somebody has shown it to you (an SD-JWT: RFC 9901). keys.json is the service's
public key set, from /certificates/keys; get it once, from the service itself, and keep it. status.jwt is the list of
statuses, from the address that stands in the certificate; without it, whether the certificate was frozen or revoked
is not known. If whoever showed it to you was to sign that it is their own, --nonce and --audience say what for.

Exit status: 0 the certificate is genuine and, as far as was asked, valid; 1 it is not; 2 it could not be checked (a
file is missing, or is not what it should be). Needs Python 3.11, the package "cryptography", and
signed.py beside it; shares no code with the service.
"""

import argparse
import datetime as dt
import hashlib
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from signed import (
    LEEWAY,
    WRONG,
    Keys,
    Refused,
    Sentence,
    UnknownKey,
    base64url,
    check_jws,
    keys_of,
    load_keys,
    parse,
    read_file,
    unbase64,
)

VCT, TYP, STATUS_TYP, BINDING_TYP = "urn:dataspace:certificate:1", "dc+sd-jwt", "statuslist+jwt", "kb+jwt"
MAX_BYTES, MAX_LIST = 1024 * 1024, 1024 * 1024
# What stands in a certificate beside the data: (English, Chinese).
ABOUT = {
    "subject": ("About whom", "关于谁"),
    "subject_identifier": ("Identifier", "证件号码"),
    "recipient": ("Delivered to", "提供给"),
    "purpose": ("What for", "用途"),
    "consent": ("Authorization", "授权编号"),
    "delivery": ("Delivery", "提供记录编号"),
}
STATUSES = {
    1: (
        "It is revoked, its time is over, or its data was corrected at the source: do not rely on it.",
        "凭证已作废、已到期，或其数据已被来源机关更正，请勿采信。",
    ),
    2: (
        "It is frozen: do not rely on it unless its holder has it thawed.",
        "凭证已冻结，解冻之前请勿采信。",
    ),
}


def claims_of(token: str, keys: Keys | ec.EllipticCurvePublicKey, typ: str) -> dict[str, Any]:
    """What a JWT says that one of the keys has signed. Raises UnknownKey, ValueError, TypeError."""
    header, payload, signature = token.split(".")
    check_jws(header, unbase64(payload), signature, keys=keys, typ=typ)
    claims: dict[str, Any] = parse(unbase64(payload))
    if not isinstance(claims, dict):
        raise TypeError("not an object")
    return claims


def of_service(token: str, keys: Keys, typ: str, what: Sentence) -> dict[str, Any]:
    """What the service has signed. Raises Refused; ``what`` it is, in two languages."""
    try:
        return claims_of(token, keys, typ)
    except UnknownKey:
        raise Refused(
            f"The {what[0]} is signed with a key that is not in the key file: it is not from this service, or the key "
            "file is old.",
            f"{what[1]}签名所用的密钥不在密钥文件里：它不是本平台签发的，或者密钥文件太旧。",
        ) from None
    except WRONG:
        raise Refused(
            f"The signature of the {what[0]} does not match: it was altered, is not from this service, or is something "
            "else.",
            f"{what[1]}的签名不符：它被改动过，不是本平台签发的，或者是别的文件。",
        ) from None


def check(
    raw: bytes,
    keys: Keys,
    now: dt.datetime,
    *,
    nonce: str | None = None,
    audience: str | None = None,
    over: bool = False,
) -> dict[str, Any]:
    """What the certificate says with what it shows, when all of it holds. ``over``: its time may be. Raises Refused."""
    damaged = Refused("The file is damaged, or is no certificate.", "文件已损坏，或者不是数据凭证。")
    try:
        text = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        raise damaged from None
    if len(raw) > MAX_BYTES or text.count("~") < 1:
        raise damaged
    first, *disclosures, binding = text.split("~")
    said = of_service(first, keys, TYP, ("certificate", "凭证"))
    try:
        if said["vct"] != VCT or said.get("_sd_alg", "sha-256") != "sha-256":
            raise Refused(
                "Signed, but of another form: take a newer verifier.", "签名有效，但格式不同，请用新版程序核对。"
            )
        shown = disclosed(said, disclosures)
        _check_times(said, now, over=over)
        shown["_binding"] = _check_binding(said, text, binding, now, nonce, audience)
    except WRONG:
        raise damaged from None
    return shown


def disclosed(said: dict[str, Any], disclosures: list[str]) -> dict[str, Any]:
    """The certificate with what it shows in its places (RFC 9901 section 7.1). Raises Refused, ValueError."""
    places: dict[str, str] = {}
    for place, members in said.items():
        for digest in members.get("_sd", ()) if isinstance(members, dict) else ():
            if digest in places:
                raise Refused("It contradicts itself: a digest stands in it twice.", "凭证自相矛盾：同一摘要出现两次。")
            places[digest] = place
    shown = {
        name: {n: v for n, v in value.items() if n != "_sd"} if isinstance(value, dict) else value
        for name, value in said.items()
    }
    for encoded in disclosures:
        salt, name, value = parse(unbase64(encoded))
        digest = base64url(hashlib.sha256(encoded.encode()).digest())
        place = places.pop(digest, "")
        if not isinstance(salt, str) or not isinstance(name, str) or not place:
            raise Refused(
                f"What is shown does not match the signature: the field “{label_of(said, name, 0)}” was altered or "
                "added, or is shown twice.",
                f"所出示的内容与签名不符：“{label_of(said, name, 1)}”一项被改动过、是另加的，或者重复出示。",
            )
        if name in ("_sd", "...") or name in shown[place]:
            raise Refused("It contradicts itself: a field stands in it twice.", "凭证自相矛盾：同一项出现两次。")
        shown[place][name] = value
    shown["_hidden"] = len(places)
    return shown


def label_of(said: dict[str, Any], name: Any, which: int) -> str:
    if name in said.get("labels", {}):
        return str(said["labels"][name][("en", "zh_hans")[which]])
    return ABOUT[name][which] if name in ABOUT else str(name)[:60]


def moment(seconds: Any) -> dt.datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError("not a moment")
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, OSError):
        raise ValueError("not a moment") from None


def _check_times(said: dict[str, Any], now: dt.datetime, *, over: bool) -> None:
    if moment(said["iat"]) > now + LEEWAY:
        raise Refused("It is dated in the future.", "凭证的签发时间在将来。")
    if moment(said["exp"]) <= now and not over:
        at = moment(said["exp"])
        raise Refused(f"Genuine, but its time is over since {at:%Y-%m-%d %H:%M} UTC.",
                      f"凭证真实，但已于 {at:%Y-%m-%d %H:%M}（UTC）到期。")  # fmt: skip


def _check_binding(
    said: dict[str, Any], text: str, binding: str, now: dt.datetime, nonce: str | None, audience: str | None
) -> bool:
    """Whether whoever showed it has proven that it is their own (RFC 9901 section 7.3). Raises Refused, ValueError."""
    if not binding:
        if nonce is not None or audience is not None:
            raise Refused(
                "Nobody has signed that it is their own, as you had asked for.",
                "出示方没有按您的要求签名证明凭证属于自己。",
            )
        return False
    wrong = Refused(
        "The signature of whoever showed it does not match: it is not their own, or was not made for this certificate "
        "or for you.",
        "出示方的签名不符：凭证不属于对方，或者签名不是为这份凭证、不是为您做的。",
    )
    try:
        (key,) = keys_of({"keys": [said["cnf"]["jwk"] | {"kid": ""}]}).values()
        proof = claims_of(binding, key, BINDING_TYP)
        covered = text[: len(text) - len(binding)]
        fits = proof["sd_hash"] == base64url(hashlib.sha256(covered.encode()).digest())
        for_you = (nonce is None or proof["nonce"] == nonce) and (audience is None or proof["aud"] == audience)
        if not fits or not for_you or moment(proof["iat"]) > now + LEEWAY:
            raise wrong
    except (*WRONG, UnknownKey):
        raise wrong from None
    return True


def check_status(raw: bytes, shown: dict[str, Any], keys: Keys, now: dt.datetime) -> dt.datetime:
    """Of when the list is that says that the certificate is valid. Raises Refused (Token Status List section 8.3)."""
    token = raw[:MAX_BYTES].decode("ascii", "replace").strip()
    said = of_service(token, keys, STATUS_TYP, ("list of statuses", "状态列表"))
    try:
        place, packed = shown["status"]["status_list"], said["status_list"]
        if said["sub"] != place["uri"]:
            raise Refused(
                f"This is another list of statuses. The one of this certificate is at {place['uri']}",
                f"这不是该凭证的状态列表。应取自 {place['uri']}",
                status=2,
            )
        if moment(said["exp"]) <= now or moment(said["iat"]) > now + LEEWAY:
            raise Refused(
                "The list of statuses is too old, or dated in the future: fetch it again.",
                "状态列表已过期或时间在将来，请重新获取。",
                status=2,
            )
        value = _status(packed, place["idx"])
        if value != 0:
            other = ("Its status is not valid: do not rely on it.", "凭证状态不是有效，请勿采信。")
            raise Refused(*STATUSES.get(value, other))
        return moment(said["iat"])
    except (*WRONG, zlib.error):
        raise Refused(
            "The list of statuses is damaged, or is none.", "状态列表已损坏，或者不是状态列表。", status=2
        ) from None


def _status(packed: dict[str, Any], index: Any) -> int:
    """The value at a place of the list. Raises ValueError."""
    bits: int = packed["bits"]
    unpacked = zlib.decompressobj().decompress(unbase64(packed["lst"]), MAX_LIST)
    if bits not in (1, 2, 4, 8) or type(index) is not int or not 0 <= index < len(unpacked) * 8 // bits:
        raise ValueError("no such place")
    return unpacked[index * bits // 8] >> (index * bits % 8) & ((1 << bits) - 1)


def describe(shown: dict[str, Any], language: str, listed_at: dt.datetime | None) -> list[str]:
    """What the certificate says, in plain sentences."""
    which = 1 if language == "zh" else 0
    item, source = shown["item"], shown["item"]["source"]
    word = ("en", "zh_hans")[which]
    lines = [
        f"{('Certificate', '凭证')[which]} {shown['certificate_no']}: {item['label'][word]}",
        f"{('Source', '来源')[which]}: {source['authority'][word]}, {('as of', '数据截至')[which]} {item['as_of']}",
    ]
    if item["period"]:
        lines.append(f"{('Period', '时段')[which]}: {item['period']['from']} – {item['period']['to']}")
    data = [name for name in shown["labels"] if name in shown["data"]]
    lines += [f"  {label_of(shown, name, which)}: {said_value(shown['data'][name], which)}" for name in data]
    lines += [
        f"{ABOUT[name][which]}: {said_value(shown['about'][name], which)}" for name in ABOUT if name in shown["about"]
    ]
    if shown["_hidden"]:
        lines.append((f"Not shown to you: {shown['_hidden']} more.", f"另有 {shown['_hidden']} 项未向您出示。")[which])
    issued, ends = moment(shown["iat"]), moment(shown["exp"])
    lines.append(
        (f"Issued {issued:%Y-%m-%d %H:%M} UTC by {shown['iss']}, valid until {ends:%Y-%m-%d %H:%M} UTC.",
         f"由 {shown['iss']} 签发于 {issued:%Y-%m-%d %H:%M}（UTC），有效至 {ends:%Y-%m-%d %H:%M}（UTC）。")[which]
    )  # fmt: skip
    lines.append(_said_of_key(shown)[which])
    if listed_at is None:
        uri = shown["status"]["status_list"]["uri"]
        lines.append(
            (f"Whether it was frozen or revoked is not known: fetch {uri} and give it with --status.",
             f"是否已冻结或作废未经核对：请获取 {uri}，并用 --status 指定该文件。")[which]
        )  # fmt: skip
    else:
        lines.append(
            (f"Not frozen and not revoked, as of {listed_at:%Y-%m-%d %H:%M} UTC.",
             f"截至 {listed_at:%Y-%m-%d %H:%M}（UTC）未冻结、未作废。")[which]
        )  # fmt: skip
    return lines


def _said_of_key(shown: dict[str, Any]) -> tuple[str, str]:
    if "cnf" not in shown:
        return "It is bound to no key: whoever has the file can show it.", "凭证未绑定密钥：持有该文件的人都能出示。"
    if shown["_binding"]:
        return "Whoever showed it has proven that it is their own.", "出示方已证明凭证属于自己。"
    return (
        "It is bound to a key, and nobody has proven to hold it: it may be a copy.",
        "凭证绑定了密钥，但出示方没有证明自己持有该密钥：这可能是一份副本。",
    )


def said_value(value: Any, which: int) -> str:
    """A value on one line: nothing in it can pass for a line of ours."""
    if isinstance(value, list):
        return ", ".join(said_value(part, which) for part in value)
    if isinstance(value, dict):
        named = value.get(("en", "zh_hans")[which])
        return said_value(named if named is not None else list(value.values()), which)
    text = {None: ("none", "无"), True: ("yes", "是"), False: ("no", "否")}
    if value is None or isinstance(value, bool):
        return text[value][which]
    return "".join(c if c.isprintable() else "?" for c in str(value))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("certificate", type=Path, help="the certificate as it was shown, an SD-JWT")
    parser.add_argument("--keys", type=Path, required=True, help="the service's public keys, as a JWK set")
    parser.add_argument("--status", type=Path, help="the list of statuses, a signed token")
    parser.add_argument("--nonce", help="what whoever showed it had to sign")
    parser.add_argument("--audience", help="for whom he had to sign it")
    parser.add_argument("--language", choices=("zh", "en"), default="zh", help="of what is said (default: zh)")
    options = parser.parse_args(arguments)
    started, now, zh = time.perf_counter(), dt.datetime.now(dt.UTC), options.language == "zh"
    try:
        keys = load_keys(options.keys)
        shown = check(
            read_file(options.certificate, MAX_BYTES), keys, now, nonce=options.nonce, audience=options.audience
        )
        listed_at = check_status(read_file(options.status, MAX_BYTES), shown, keys, now) if options.status else None
    except Refused as refused:
        print(refused.sentence[options.language], file=sys.stderr)
        return refused.status
    took = (time.perf_counter() - started) * 1000
    print(f"凭证真实，内容未被改动（核对用时 {took:.0f} 毫秒）。" if zh else f"Genuine and unchanged ({took:.0f} ms).")
    print("\n".join(describe(shown, options.language, listed_at)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
