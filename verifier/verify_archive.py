#!/usr/bin/env python3
"""Checks a copy of a data space (archive.zip), without the service and without a network.

    python verify_archive.py archive.zip --keys keys.json

archive.zip is the copy as its holder downloaded it, not unpacked. keys.json is the service's public key set, from
/receipts/keys; get it once, from the service itself, and keep it. Nothing is unpacked; nothing is written.

What is checked: the signature of the list of files, that the archive holds these files and no others, every file's
digest, every receipt, and every certificate with the keys that the list vouches for. Everything that does not match is
said in a sentence of its own.

Exit status: 0 all of it is genuine and unchanged; 1 it is not; 2 it could not be checked (a file is missing, or is not
what it should be). Needs Python 3.11, the package "cryptography", and verify_receipt.py, verify_certificate.py,
cosignatures.py, signed.py and tlog.py beside it; shares no code with the service.
"""

import argparse
import datetime as dt
import hashlib
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import verify_certificate
import verify_receipt
from signed import (
    LANGUAGES,
    LEEWAY,
    WRONG,
    Keys,
    Refused,
    Sentence,
    UnknownKey,
    check_jws,
    keys_of,
    load_keys,
    moment,
    parse,
    unbase64,
)

SCHEMA, TYP = "gd-dsa-archive/1", "dsa-archive+json"
LIST, SIGNED, SUMS = "manifest.json", "manifest.jws", "SHA256SUMS"
RECEIPTS, CERTIFICATES = "authorizations/receipts/", "certificates/"
CERTIFICATE_KEYS = "certificates/keys.json"
MAX_LIST = 64 * 1024 * 1024  # bytes of the list of files; every other file is as long as the list says
CHUNK = 1024 * 1024
DESCRIPTORS = {0, 12, 16, 20, 24}  # what may stand between two files of a zip (APPNOTE 4.3.9)
# What reading a damaged zip file raises; RuntimeError: it wants a password.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


def altered_list() -> Refused:
    return Refused(
        "The signature of the list of files does not match: it was altered, or is not from this service.",
        "文件清单的签名不符：清单被改动过，或者不是本平台签发的。",
    )


def open_archive(path: Path) -> zipfile.ZipFile:
    """Raises Refused when it is missing, or is no zip file."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise Refused(f"The file {path} cannot be opened.", f"无法打开文件 {path}。", status=2) from None
    except DAMAGED:
        raise Refused("The file is damaged, or is no archive.", "文件已损坏，或者不是数据副本。") from None


def read(file: zipfile.ZipFile, name: str, size: int) -> Iterator[bytes]:
    """A file in pieces, at most ``size`` bytes and one more of it, whatever it claims. Raises one of DAMAGED."""
    info = file.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("another compression")
    with file.open(info) as entry:
        left = size + 1
        while left > 0 and (piece := entry.read(min(CHUNK, left))):
            left -= len(piece)
            yield piece


def lines(file: zipfile.ZipFile, name: str, longest: int) -> Iterator[bytes]:
    """A file line by line, however many there are; of one that is too long, pieces. Raises one of DAMAGED."""
    with file.open(name) as entry:
        yield from iter(lambda: entry.readline(longest), b"")


def whole(file: zipfile.ZipFile, name: str, size: int) -> bytes | None:
    """A file that is at most ``size`` bytes long; None when it is missing, longer or damaged."""
    try:
        content = b"".join(read(file, name, size))
    except (KeyError, *DAMAGED):
        return None
    return content if len(content) <= size else None


def signed_list(
    file: zipfile.ZipFile, keys: Keys, now: dt.datetime, *, schema: str = SCHEMA, typ: str = TYP
) -> tuple[dict[str, Any], bytes]:
    """The list of files, also as the bytes that were signed, when its signature holds. Raises Refused."""
    raw = whole(file, SIGNED, MAX_LIST)
    if raw is None:
        raise Refused(
            f"The signed list of files ({SIGNED}) is missing or damaged.", f"已签名的文件清单（{SIGNED}）缺失或已损坏。"
        )
    try:
        header64, payload64, signature64 = raw.decode("ascii").split(".")
        payload = unbase64(payload64)
        check_jws(header64, payload, signature64, keys=keys, typ=typ)
        said: dict[str, Any] = parse(payload)
    except UnknownKey:
        raise Refused(
            "The list is signed with a key that is not in the key file: it is not from this service, or the key file "
            "is old.",
            "清单签名所用的密钥不在密钥文件里：副本不是本平台签发的，或者密钥文件太旧。",
        ) from None
    except WRONG:
        raise altered_list() from None
    if said.get("schema") != schema:
        raise Refused("Signed, but of another form: take a newer verifier.", "签名有效，但格式不同，请用新版程序核对。")
    if moment(said["made_at"]) > now + LEEWAY:
        raise Refused("Signed, but it says that it is of the future.", "签名有效，但制作时间晚于现在。")
    return said, payload


def wrong_names(file: zipfile.ZipFile, wanted: set[str]) -> Iterator[Sentence]:
    """Files that are missing, that should not be there, or that are there twice; and what lies between them."""
    found = Counter(info.filename for info in file.infolist())
    for name in sorted(wanted - set(found)):
        yield f"{name} is missing.", f"缺少 {name}。"
    for name in sorted(set(found) - wanted):
        shown = ascii(name)[1:-1][:200]  # nothing that a terminal would obey
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name:
            yield (
                f"{shown} does not belong to it, and would land outside the folder. Do not unpack this archive.",
                f"{shown} 不属于这份副本，解压后会落到文件夹之外。请不要解压。",
            )
        else:
            yield f"{shown} does not belong to it.", f"{shown} 不属于这份副本。"
    for name in sorted(name for name, times in found.items() if times > 1 and name in wanted):
        yield f"{name} is there more than once.", f"{name} 出现了不止一次。"
    if has_gaps(file):
        yield "Something lies hidden between the files.", "文件之间夹带了别的内容。"


def has_gaps(file: zipfile.ZipFile) -> bool:
    """Whether bytes stand before, between or behind the files: programs differ in what they make of those."""
    place, first = 0, True
    for info in sorted(file.infolist(), key=lambda one: one.header_offset):
        between = info.header_offset - place
        if between != 0 if first else between not in DESCRIPTORS:
            return True
        file.fp.seek(info.header_offset)
        head = file.fp.read(30)
        lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        place, first = info.header_offset + 30 + lengths + info.compress_size, False
    return file.start_dir - place not in DESCRIPTORS or bool(file.comment)


def wrong_files(file: zipfile.ZipFile, files: dict[str, dict[str, Any]], payload: bytes) -> Iterator[Sentence]:
    """Files whose content is not the one that was signed. ``payload``: the signed list."""
    here = set(file.namelist())
    sums = [f"{one['sha256']}  {name}\n".encode() for name, one in files.items()]
    same = {name: is_unchanged(file, name, signed) for name, signed in files.items() if name in here}
    same[LIST] = LIST not in here or whole(file, LIST, len(payload)) == payload
    found = whole(file, SUMS, sum(map(len, sums)))
    same[SUMS] = SUMS not in here or (found is not None and sorted(found.splitlines(keepends=True)) == sorted(sums))
    for name in (name for name, fits in same.items() if not fits):
        yield f"{name} was changed.", f"{name} 被改动过。"


def is_unchanged(file: zipfile.ZipFile, name: str, signed: dict[str, Any]) -> bool:
    digest, size = hashlib.sha256(), 0
    try:
        for piece in read(file, name, signed["size"]):
            digest.update(piece)
            size += len(piece)
    except DAMAGED:
        return False
    return size == signed["size"] and digest.hexdigest() == signed["sha256"]


def wrong_receipts(file: zipfile.ZipFile, names: list[str], keys: Keys, now: dt.datetime) -> Iterator[Sentence]:
    """Receipts that do not hold by themselves."""
    for name in names:
        raw = whole(file, name, verify_receipt.MAX_BYTES)
        if raw is None:
            yield f"{name} is no receipt.", f"{name} 不是凭据。"
            continue
        try:
            verify_receipt.check(raw, keys, now)
        except Refused as refused:
            yield f"{name}: {refused.sentence['en']}", f"{name}：{refused.sentence['zh']}"


def wrong_certificates(file: zipfile.ZipFile, files: dict[str, dict[str, Any]], now: dt.datetime) -> Iterator[Sentence]:
    """Certificates that do not hold by themselves, or are not those whose life is told beside them."""
    lives = [n for n in files if n.startswith(CERTIFICATES) and n.endswith(".json") and n != CERTIFICATE_KEYS]
    texts = {name for name in files if name.startswith(CERTIFICATES) and name.endswith(".sd-jwt")}
    if not lives and not texts:
        return
    try:
        keys = keys_of(_json(file, CERTIFICATE_KEYS, files))
    except WRONG:
        yield f"{CERTIFICATE_KEYS} is no set of keys.", f"{CERTIFICATE_KEYS} 不是密钥集。"
        return
    for life in lives:
        try:
            told = _json(file, life, files)
            name = told["file"]
            if name is not None:
                raw = whole(file, name, files[name]["size"]) or b""
                said = verify_certificate.check(raw, keys, now, over=True)
                digest = hashlib.sha256(raw.partition(b"~")[0]).hexdigest()
                if (said["certificate_no"], digest) != (told["certificate_id"], told["digest"]):
                    yield f"{name} is not the certificate that {life} tells of.", f"{name} 不是 {life} 所述的凭证。"
            texts.discard(name)
        except Refused as refused:
            yield f"{name}: {refused.sentence['en']}", f"{name}：{refused.sentence['zh']}"
            texts.discard(name)
        except WRONG:
            yield f"{life} is no life of a certificate.", f"{life} 不是凭证的经过记录。"
    for name in sorted(texts):
        yield f"{name}: nothing tells of its life.", f"{name}：没有它的经过记录。"


def _json(file: zipfile.ZipFile, name: str, files: dict[str, dict[str, Any]]) -> Any:
    """What a listed file says. Raises one of WRONG."""
    return parse(whole(file, name, files[name]["size"]) or b"")


def check(path: Path, keys: Keys, now: dt.datetime) -> tuple[dict[str, Any], list[Sentence]]:
    """The signed list of files, and everything that does not match it. Raises Refused when there is no such list."""
    with open_archive(path) as file:
        said, payload = signed_list(file, keys, now)
        files = said["files"]
        wrong = list(wrong_names(file, {*files, LIST, SIGNED, SUMS}))
        wrong += wrong_files(file, files, payload)
        if not wrong:  # what was changed is named already
            wrong += wrong_receipts(file, [name for name in files if name.startswith(RECEIPTS)], keys, now)
            wrong += wrong_certificates(file, files, now)
    return said, wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="the copy as it was downloaded (a zip file)")
    parser.add_argument("--keys", type=Path, required=True, help="the service's public keys, as a JWK set")
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="default: zh")
    options = parser.parse_args(arguments)
    started, zh = time.perf_counter(), options.language == "zh"
    try:
        said, wrong = check(options.archive, load_keys(options.keys), dt.datetime.now(dt.UTC))
    except Refused as refused:
        print(refused.sentence[options.language], file=sys.stderr)
        return refused.status
    for sentence in wrong:
        print(sentence[1 if zh else 0], file=sys.stderr)
    if wrong:
        return 1
    took, count = time.perf_counter() - started, len(said["files"])
    receipts = sum(name.startswith(RECEIPTS) for name in said["files"])
    certificates = sum(name.startswith(CERTIFICATES) and name.endswith(".sd-jwt") for name in said["files"])
    made, issuer = said["made_at"], said["issuer"]
    if zh:
        print(f"副本真实完整：{count} 个文件，其中凭据 {receipts} 份，均未被改动（核对用时 {took:.1f} 秒）。")
        print(f"  凭证：{certificates} 份\n  签发：{issuer}\n  制作时间：{made}")
    else:
        print(f"Genuine, whole and unchanged: {count} files, {receipts} of them receipts ({took:.1f} s).")
        print(f"  Certificates: {certificates}\n  From: {issuer}\n  Made: {made}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
