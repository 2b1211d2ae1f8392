#!/usr/bin/env python3
"""Checks an evidence package: everything that proves one consent, without the service and without a network.

    python verify_package.py package.zip --keys keys.json --log-key KEY
    python verify_package.py package.zip --enclosed-keys

package.zip is the package as it was handed over, not unpacked. keys.json is the service's public key set, from
/receipts/keys; KEY is the verifier key of its log, one line, from /log/key, or a file that holds it. Get both from the
service itself or from somebody who has kept them. With --enclosed-keys the keys that lie in the package are used: that
proves only that the package fits itself, so their fingerprints are printed, to be confirmed by the service.

With --witness (a verifier key; several, and --quorum) so many of these witnesses must have cosigned every checkpoint to
which a proof leads.

What is checked: the signature of the list of files, that the package holds these files and no others, every digest;
each version of the consent (its signature, and that it names the one before); that the text as it was shown is the one
that was signed; the chain of events; every receipt; of each event, receipt and read that it is in the log; and that
all reads are there. They are taken line by line, so that their number is no matter of memory.
Everything that does not match is said in a sentence that names the file.

Exit status: 0 all of it matches; 1 something does not; 2 it could not be checked (a file is missing, or is not what it
should be). Needs Python 3.11, the package "cryptography", and access_line.py, cosignatures.py, signed.py, tlog.py,
verify_archive.py, verify_certificate.py and verify_receipt.py beside it; shares no code with the service.
"""

import argparse
import datetime as dt
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cosignatures
import tlog
import verify_receipt
from access_line import MAX_LINE
from cosignatures import NOBODY, Witnesses
from signed import (
    LANGUAGES,
    WRONG,
    Keys,
    Refused,
    Sentence,
    UnknownKey,
    canonical,
    check_jws,
    keys_of,
    load_keys,
    parse,
    sha256,
)
from verify_archive import LIST, SIGNED, SUMS, lines, open_archive, signed_list, whole, wrong_files, wrong_names

SCHEMA, TYP, CONSENT_TYP = "gd-dsa-evidence-package/2", "dsa-evidence-package+json", "dsa-consent+json"
MAX_KEYS = 1024 * 1024  # bytes
KEY_FILE, LOG_KEY, CHECKPOINT = "keys.json", "log/key", "log/checkpoint"


class Opened(NamedTuple):
    """A package whose files are the ones that were signed."""

    file: zipfile.ZipFile
    files: dict[str, dict[str, Any]]
    consent_id: str
    reads: int
    keys: Keys
    log_key: str
    witnesses: Witnesses
    now: dt.datetime

    def below(self, folder: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(f"{folder}/"))

    def raw(self, name: str) -> bytes:
        return whole(self.file, name, self.files[name]["size"]) or b""

    def read(self, name: str) -> Any:
        return parse(self.raw(name))


class Checked(NamedTuple):
    """What came out. ``young``: files of things that had no proof yet when the package was made."""

    said: dict[str, Any]
    wrong: list[Sentence]
    young: list[str]


def number(name: str) -> int:
    return int(name.rpartition("/")[2].partition(".")[0])


def check_versions(package: Opened) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each version: signed, of this consent, and naming the one before; and the text as it was shown."""
    before: dict[str, Any] = {"digest": None}

    def one(name: str) -> None:
        held = package.read(name)
        document, (header, nothing, signature) = held["document"], held["signature"].split(".")
        try:
            check_jws(header, canonical(document), signature, keys=package.keys, typ=CONSENT_TYP)
        except UnknownKey:
            raise Refused("Signed with a key that is not in the key file.", "签名所用的密钥不在密钥文件里。") from None
        except ValueError:
            raise Refused("The signature of this version does not match.", "这个版本的签名不符。") from None
        if nothing or (document["consent_id"], document["version"]) != (package.consent_id, number(name)):
            raise Refused("This is a version of another consent.", "这是另一项授权的版本。")
        if document["previous_version_digest"] != before["digest"]:
            raise Refused("It does not name the version before it.", "它没有指明上一个版本。")
        before["digest"] = f"sha-256:{sha256(document)}"

    def shown(name: str) -> None:
        version = package.read(f"versions/{number(name)}.json")["document"]
        if sha256(package.raw(name)) != version["notice"]["digest"]:
            raise Refused("It is not the text that the signed version names.", "这不是已签名版本所指的文字。")

    yield from ((name, lambda name=name: one(name)) for name in sorted(package.below("versions"), key=number))
    yield from ((name, lambda name=name: shown(name)) for name in package.below("shown"))


def check_events(package: Opened) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each event: its digest, that it names the one before, and that it is in the log."""
    before: dict[str, Any] = {"digest": None, "seq": 0}

    def one(name: str) -> bool:
        held = package.read(name)
        event = held["event"]
        facts = {key: value for key, value in event.items() if key != "digest"} | {"consent_id": package.consent_id}
        # A package does not name the administrator, the event's digest does.
        if event["capacity"] != "administrator" and sha256(facts) != event["digest"]:
            raise Refused("What happened does not fit its digest.", "事件的内容与摘要不符。")
        if (event["previous_digest"], event["seq"]) != (before["digest"], before["seq"] + 1):
            raise Refused("It does not follow the event before it.", "它与上一个事件接不上。")
        before.update(digest=event["digest"], seq=event["seq"])
        about = {"kind": "consent_event", "consent_id": package.consent_id, "seq": event["seq"]}
        return in_log(package, held["evidence"], about | {"digest": event["digest"]})

    yield from ((name, lambda name=name: one(name)) for name in package.below("events"))


def check_receipts(package: Opened) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each receipt by itself, of this consent, and in the log."""

    def one(name: str) -> bool:
        brought = verify_receipt.take_apart(package.raw(name))
        content = verify_receipt.check_content(brought, package.keys, package.now)
        if content["consent"]["consent_id"] != package.consent_id:
            raise Refused("This is a receipt of another consent.", "这是另一项授权的凭据。")
        if brought.evidence is None:
            return False
        verify_receipt.check_in_log(brought, brought.evidence, package.log_key, package.witnesses)
        return True

    yield from ((name, lambda name=name: one(name)) for name in package.below("receipts"))


def check_reads(package: Opened) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each read: in the log, and under this consent. Whatever else was stated of it is proven as well."""

    def one(line: bytes) -> bool:
        held = parse(line)
        about = {"kind": "access", "consent_id": package.consent_id} | held["read"]
        return in_log(package, held["evidence"], about)

    def all_there(count: int) -> None:
        if count != package.reads:
            raise Refused(
                f"{count} reads are here, but the list of files says that there are {package.reads}.",
                f"实有读取 {count} 次，而文件清单写明 {package.reads} 次。",
            )

    count = 0
    for name in package.below("reads"):
        for place, line in enumerate(lines(package.file, name, MAX_LINE), 1):
            count += 1
            yield f"{name}:{place}", lambda line=line: one(line)
    yield LIST, lambda: all_there(count)


def in_log(package: Opened, evidence: Any, about: dict[str, Any]) -> bool:
    """Whether it has a proof, which holds. Raises Refused."""
    if evidence is None or evidence["proof"] is None:
        return False
    statement = tlog.check_evidence(evidence, package.log_key).statement
    cosignatures.check(evidence["proof"].encode(), package.witnesses)
    if {name: statement.get(name) for name in about} != about:
        raise Refused("Its proof from the log is about something else.", "所附的存证链证明说的是另一件事。")
    return True


def contents(package: Opened) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything there is to check, with the file that it is about."""
    yield from check_versions(package)
    yield from check_events(package)
    yield from check_receipts(package)
    yield from check_reads(package)
    yield CHECKPOINT, lambda: tlog.read_checkpoint(package.raw(CHECKPOINT), package.log_key)


def check(
    path: Path, keys: Keys | None, log_key: str | None, now: dt.datetime, witnesses: Witnesses = NOBODY
) -> Checked:
    """``keys`` and ``log_key`` None: those in the package. Raises Refused when there is no signed list of files."""
    with open_archive(path) as file:
        enclosed = enclosed_keys(file) if keys is None or log_key is None else ({}, "")
        known, log = keys or enclosed[0], log_key or enclosed[1]
        said, payload = signed_list(file, known, now, schema=SCHEMA, typ=TYP)
        files = said["files"]
        wrong = [*wrong_names(file, {*files, LIST, SIGNED, SUMS}), *wrong_files(file, files, payload)]
        if wrong:  # what was changed is named already
            return Checked(said, wrong, [])
        young = []
        for name, look in contents(Opened(file, files, said["consent_id"], said["reads"], known, log, witnesses, now)):
            try:
                if look() is False:
                    young.append(name)
            except Refused as error:
                wrong.append((f"{name}: {error.sentence['en']}", f"{name}：{error.sentence['zh']}"))
            except WRONG:
                wrong.append((f"{name} is not what it should be.", f"{name} 的格式不对。"))
    return Checked(said, wrong, young)


def enclosed_keys(file: zipfile.ZipFile) -> tuple[Keys, str]:
    """The keys that lie in the package. Raises Refused."""
    try:
        key = (whole(file, LOG_KEY, MAX_KEYS) or b"").decode().strip()
        for line in key.split("\n"):
            tlog.read_key(line)
        return keys_of(parse(whole(file, KEY_FILE, MAX_KEYS) or b"")), key
    except WRONG:
        raise Refused("The keys in the package cannot be read.", "无法读取包内的公钥。") from None


def fingerprints(path: Path) -> list[Sentence]:
    with open_archive(path) as file:
        key, log = (whole(file, name, MAX_KEYS) or b"" for name in (KEY_FILE, LOG_KEY))
    return [
        (
            "Checked with the keys in the package itself. Have the service or somebody who has kept them confirm:",
            "核对用的是包内自带的公钥。请向平台或保存过公钥的人确认：",
        ),
        (f"  SHA-256 of {KEY_FILE}: {sha256(key)}", f"  {KEY_FILE} 的 SHA-256：{sha256(key)}"),
        (f"  key of the log: {log.decode().strip()}", f"  存证链公钥：{log.decode().strip()}"),
    ]


def in_words(checked: Checked) -> list[Sentence]:
    said, files = checked.said, checked.said["files"]
    events, receipts = (sum(n.startswith(f"{folder}/") for n in files) for folder in ("events", "receipts"))
    reads = said["reads"]
    found = [
        (
            f"Genuine, whole and unchanged: {events} events, {receipts} receipts, {reads} reads.",
            f"证据包真实完整，未被改动：事件 {events} 个，凭据 {receipts} 份，读取 {reads} 次。",
        ),
        (f"  Authorization: {said['consent_id']}", f"  授权编号：{said['consent_id']}"),
        (f"  From: {said['issuer']}", f"  签发：{said['issuer']}"),
        (f"  Made: {said['made_at']}", f"  制作时间：{said['made_at']}"),
    ]
    if checked.young:
        some = ", ".join(checked.young[:5]) + (" …" if len(checked.young) > 5 else "")
        found.append(
            (
                f"  Not proven to be in the log, because too young or erased when the package was made: {some}",
                f"  制作时太新或已删除，没有存证链证明：{some}",
            )
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the package as it was handed over (a zip file)")
    parser.add_argument("--keys", type=Path, help="the service's public keys, as a JWK set")
    parser.add_argument("--log-key", help="the verifier key of the service's log, or a file with it")
    cosignatures.add_arguments(parser)
    parser.add_argument("--enclosed-keys", action="store_true", help="use the keys in the package, and print them")
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    given = parser.parse_args(arguments)
    if given.enclosed_keys == bool(given.keys or given.log_key) or bool(given.keys) != bool(given.log_key):
        parser.error("name both --keys and --log-key, or --enclosed-keys")
    started, which = time.perf_counter(), int(given.language == "zh")
    try:
        keys = load_keys(given.keys) if given.keys else None
        log_key = tlog.load_key(given.log_key) if given.log_key else None
        witnesses = cosignatures.load(given)
        checked = check(given.package, keys, log_key, dt.datetime.now(dt.UTC), witnesses)
    except Refused as error:
        print(error.sentence[given.language], file=sys.stderr)
        return error.status
    for sentence in checked.wrong:
        print(sentence[which], file=sys.stderr)
    if checked.wrong:
        return 1
    for sentence in in_words(checked) + (fingerprints(given.package) if given.enclosed_keys else []):
        print(sentence[which])
    took = time.perf_counter() - started
    print((f"  Took {took:.1f} s.", f"  用时 {took:.1f} 秒。")[which])
    return 0


if __name__ == "__main__":
    sys.exit(main())
