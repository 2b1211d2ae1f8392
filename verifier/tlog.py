"""What the programs here have in common about the log of evidence: checkpoints, proofs, tiles, and where they lie.

Written from RFC 6962, RFC 9162 and C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof and tlog-tiles;
shares no code with the service.
"""

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from signed import WRONG, Refused, Sentence, canonical

MAX_PROOF = 64 * 1024  # bytes; 63 hashes and a checkpoint with a hundred signatures
MAX_TILE = 32 * 1024 * 1024  # bytes that one answer of a server may have: 256 entries of 64 kB and more
Fetch = Callable[[str], bytes]  # a path below the log's prefix -> what is there


class Head(NamedTuple):
    origin: str
    size: int
    root: bytes


class Proof(NamedTuple):
    """That an entry is under a checkpoint (tlog-proof)."""

    index: int
    path: list[bytes]
    note: bytes


class Found(NamedTuple):
    """Where something is in the log, and what was said about it there."""

    statement: dict[str, Any]
    index: int
    head: Head


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def unbase64(text: str, what: str, chinese: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(f"{what} is not base64.", f"{chinese}不是 base64 编码。") from None
    if base64.b64encode(raw).decode() != text:
        raise Refused(f"{what} is written in another way than it must be.", f"{chinese}的写法不规范。")
    return raw


def is_number(text: str) -> bool:
    """In the one spelling that a number has, and no longer than one of 64 bits."""
    return len(text) <= 19 and text.isdecimal() and str(int(text)) == text


# Checkpoints (C2SP signed-note, tlog-checkpoint)


def no_checkpoint() -> Refused:
    return Refused("The key or the checkpoint is not what it should be.", "存证链公钥或检查点的格式不对。")


def read_key(key: str) -> tuple[str, str, bytes]:
    """(name, number in hex, type and public key) of a verifier key. Raises Refused."""
    try:
        name, key_id, material = key.strip().split("+", 2)
    except ValueError:
        raise Refused("The key is no verifier key of a log.", "这不是存证链的公钥。") from None
    public = unbase64(material, "The key", "存证链公钥")
    if len(public) != 33 or h(name.encode() + b"\n" + public)[:4].hex() != key_id:
        raise Refused("The key's number does not fit the key.", "存证链公钥的编号与公钥不符。")
    return name, key_id, public


def load_key(key: str) -> str:
    """A verifier key, or a file that holds one. Raises Refused."""
    try:
        return (Path(key).read_text("utf-8") if Path(key).is_file() else key).strip()
    except (OSError, ValueError):
        raise Refused(f"{key} cannot be read.", f"无法读取 {key}。", status=2) from None


def read_checkpoint(note: bytes, key: str) -> Head:
    """The head that is signed by this verifier key; of several, one a line, by that of its log. Raises Refused."""
    of_each = {line.partition("+")[0].encode(): line for line in key.split("\n")}
    key = of_each.get(note.partition(b"\n")[0], key.partition("\n")[0])
    name, key_id, public = read_key(key)
    if public[:1] != b"\x01":
        raise Refused("The key is not the key of a log.", "这不是存证链的公钥。")
    try:
        text, _blank, below = note.decode().rpartition("\n\n")
    except ValueError:
        raise no_checkpoint() from None
    body = text + "\n"
    made = [blob[4:] for signer, blob in signatures(below) if (signer, blob[:4].hex()) == (name, key_id)]
    origin = body.partition("\n")[0]
    if not made and origin != name:
        shown = ascii(origin)[1:-1][:200]
        raise Refused(f"The checkpoint is of another log: {shown}.", f"检查点属于另一条存证链：{shown}。")
    if not made:
        raise Refused("The checkpoint is not signed with the key of this log.", "检查点不是用本存证链的密钥签名的。")
    try:
        for signature in made:
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature, body.encode())
    except InvalidSignature:
        raise Refused(
            "The signature of the checkpoint does not match: it was altered.", "检查点的签名不符：检查点被改动过。"
        ) from None
    lines = body.split("\n")[:-1]
    if len(lines) < 3 or not is_number(lines[1]):
        raise Refused("What is signed is no checkpoint.", "被签名的内容不是检查点。")
    head = Head(lines[0], int(lines[1]), unbase64(lines[2], "The root", "根哈希"))
    if len(head.root) != 32 or head.origin != name:
        raise Refused("What is signed is no checkpoint of this log.", "被签名的内容不是本存证链的检查点。")
    return head


def signatures(below: str) -> Iterator[tuple[str, bytes]]:
    """(name, key number and signature) of each line below a note."""
    if not below.endswith("\n"):
        raise Refused("The checkpoint is not whole.", "检查点不完整。")
    for line in below.removesuffix("\n").split("\n"):
        dash, signer, blob = [*line.split(" "), "", ""][:3]
        if dash != "—":
            raise Refused("A line below the checkpoint is no signature.", "检查点下方有一行不是签名。")
        yield signer, unbase64(blob, "A signature", "签名")


def check_cosignatures(note: bytes, witnesses: list[str], quorum: int) -> list[tuple[str, int]]:
    """(witness, when in seconds since 1970) of those that have cosigned a checkpoint (tlog-cosignature).

    ``witnesses``: their verifier keys. Raises Refused: fewer than ``quorum`` have, or one of them not this text.
    """
    try:
        text, _blank, below = note.decode().rpartition("\n\n")
    except ValueError:
        raise no_checkpoint() from None
    lines, found = list(signatures(below)), dict[str, tuple[str, int]]()
    for key in witnesses:
        name, key_id, public = read_key(key)
        if public[:1] != b"\x04":
            raise Refused("The key is not the key of a witness.", "这不是见证者的公钥。")
        for blob in (blob[4:] for signer, blob in lines if (signer, blob[:4].hex()) == (name, key_id)):
            at = int.from_bytes(blob[:8], "big")
            try:
                signed = f"cosignature/v1\ntime {at}\n{text}\n".encode()
                Ed25519PublicKey.from_public_bytes(public[1:]).verify(blob[8:], signed)
            except InvalidSignature:
                raise Refused(f"The cosignature of {name} does not match.", f"见证者 {name} 的会签不符。") from None
            found[key] = (name, at)
    if len(found) < quorum or quorum < 1:
        raise Refused(
            f"Of the witnesses {len(found)} have cosigned the checkpoint, not {quorum}.",
            f"检查点由 {len(found)} 个见证者会签，要求 {quorum} 个。",
        )
    return list(found.values())


# Trees (RFC 9162 section 2.1)


class Growing:
    """The roots of the complete subtrees of a growing tree, the largest first: enough to know its root at any time."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        at, self.size = self.size, self.size + 1
        while at & 1:
            leaf, at = h(b"\x01" + self.peaks.pop() + leaf), at >> 1
        self.peaks.append(leaf)

    def root(self) -> bytes:
        if not self.peaks:
            return h(b"")
        found = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            found = h(b"\x01" + peak + found)
        return found


def check_inclusion(leaf: bytes, index: int, head: Head, path: list[bytes]) -> None:
    """RFC 9162 section 2.1.3.2, step by step. Raises Refused."""
    if index >= head.size:
        raise Refused("The index lies beyond the log.", "序号超出了存证链的范围。")
    fn, sn, r = index, head.size - 1, leaf
    for p in path:
        if sn == 0:
            raise Refused("The proof is too long.", "证明过长。")
        if fn & 1 or fn == sn:
            r = h(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = h(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    if sn or r != head.root:
        raise Refused(
            "The proof does not lead from the entry to the checkpoint: it is of another entry, or was altered.",
            "从该条目按证明推算，得不到检查点：证明属于另一个条目，或者被改动过。",
        )


def check_consistency(old: Head, new: Head, path: list[bytes]) -> None:
    """That the later head continues the earlier one. Raises Refused."""
    if old.origin != new.origin:
        raise Refused("The earlier checkpoint is of another log.", "较早的检查点属于另一条存证链。")
    if old.size > new.size:
        raise Refused("The log has become shorter.", "存证链变短了。")
    if not continues(old, new, path):
        raise Refused(
            "The later checkpoint does not continue the earlier one: the log was changed, or the proof was.",
            "较晚的检查点没有延续较早的检查点：存证链的内容或证明被改动过。",
        )


def continues(old: Head, new: Head, path: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2, step by step; two trees of one size, and the tree of nothing, need no hashes."""
    if old.size == new.size:
        return not path and old.root == new.root
    if old.size == 0:
        return not path and old.root == h(b"")
    hashes = [old.root, *path] if old.size & (old.size - 1) == 0 else path
    fn, sn = old.size - 1, new.size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = hashes[0] if hashes else b""
    for c in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = h(b"\x01" + c + fr), h(b"\x01" + c + sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = h(b"\x01" + sr + c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and (fr, sr) == (old.root, new.root)


# Proofs (C2SP tlog-proof), and what the service puts around them


def read_proof(text: bytes) -> Proof:
    """A proof as it is written; nothing of it is checked. Raises Refused."""
    no_proof = Refused("The file is no proof.", "文件不是存证链证明。")
    above, _blank, note = text.partition(b"\n\n")
    try:
        first, *lines = above.decode("ascii").split("\n")
    except ValueError:
        raise no_proof from None
    lines = lines[1:] if lines and lines[0].startswith("extra ") else lines
    if len(text) > MAX_PROOF or first != "c2sp.org/tlog-proof@v1" or not lines or not lines[0].startswith("index "):
        raise no_proof
    number = lines[0].removeprefix("index ")
    if not is_number(number):
        raise no_proof
    return Proof(int(number), [unbase64(line, "A hash of the proof", "证明中的哈希") for line in lines[1:]], note)


def check_proof(text: bytes, entry: bytes, key: str) -> tuple[int, Head]:
    """The index and the head under which the entry is. Raises Refused."""
    proof = read_proof(text)
    head = read_checkpoint(proof.note, key)
    check_inclusion(h(b"\x00" + entry), proof.index, head, proof.path)
    return proof.index, head


def check_statement(evidence: Any) -> tuple[dict[str, Any], bytes, bytes]:
    """(statement, entry, proof) of what the service hands out: {entry, proof, salt, statement}. Raises Refused.

    The entry is SHA-256 over the salt and the canonical statement.
    """
    try:
        if set(evidence) != {"entry", "statement", "salt", "proof"}:
            raise ValueError("other members")
        entry, salt = bytes.fromhex(evidence["entry"]), bytes.fromhex(evidence["salt"])
        statement, proof = evidence["statement"], evidence["proof"].encode()
        fits = h(salt + canonical(statement)) == entry and evidence["salt"] == salt.hex()
        known = statement["schema"] == "gd-dsa-evidence/1" and evidence["entry"] == entry.hex()
    except WRONG:
        raise Refused("What is said to be the proof from the log is none.", "所附的存证链证明格式不对。") from None
    if not fits:
        raise Refused(
            "The statement and its salt do not lead to the entry of the log: one of them was altered.",
            "陈述与盐值推算不出存证链条目：其中有一项被改动过。",
        )
    if not known:
        raise Refused("The statement is of another form: take a newer verifier.", "陈述的格式不同，请用新版程序核对。")
    return statement, entry, proof


def check_evidence(evidence: Any, key: str) -> Found:
    """That a statement is in the log, and where. Raises Refused."""
    statement, entry, proof = check_statement(evidence)
    index, head = check_proof(proof, entry, key)
    return Found(statement, index, head)


def in_words(found: Found) -> Sentence:
    head = found.head
    return (
        f"It is entry {found.index} of the public log {head.origin}, which had {head.size} entries by then.",
        f"它是存证链 {head.origin} 的第 {found.index} 号条目；当时存证链共有 {head.size} 个条目。",
    )


# Where a log lies (C2SP tlog-tiles)


def tile_path(level: str, number: int, width: int) -> str:
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/{'/'.join(parts)}" + (f".p/{width}" if width < 256 else "")


def fetch_tile(fetch: Fetch, level: str, number: int, width: int) -> tuple[bytes, bool]:
    """A tile or bundle, and whether it is the full one in place of a partial one that is gone by now."""
    try:
        return fetch(tile_path(level, number, width)), False
    except Refused as refused:
        if width == 256 or refused.status != 2:
            raise
    return fetch(tile_path(level, number, 256)), True


def fetch_from(place: str) -> Fetch:
    """From a directory, or over HTTP."""

    def read(path: str) -> bytes:
        try:
            if not place.startswith(("http://", "https://")):
                return (Path(place) / path).read_bytes()
            with urllib.request.urlopen(f"{place.rstrip('/')}/{path}", timeout=30) as answer:  # noqa: S310 - checked
                return bytes(answer.read(MAX_TILE))
        except (OSError, urllib.error.URLError) as error:
            raise Refused(f"{path} cannot be read: {error}", f"无法读取 {path}：{error}", status=2) from None

    return read
