"""What the programs here know of a line of the log of reads: {entry, proof, salt, statement}, alone or in a package.

The statement names the delivery, who received it, the authorization or law under which it was read, and the SHA-256 of
the answer in its canonical form (RFC 8785). Shares no code with the service.
"""

from pathlib import Path
from typing import Any, NamedTuple

import cosignatures
import tlog
import verify_archive
from cosignatures import NOBODY, Witnesses
from signed import WRONG, Refused, Sentence, parse, read_file

READS = "reads/"  # where a package of evidence keeps the lines, many in a file
MAX_LINE = tlog.MAX_PROOF
NOT_LOOKED_UP = (
    "The line was not looked up in the public log: name the log's key with --log-key.",
    "没有核对这条记录是否在存证链里：请用 --log-key 指定存证链公钥。",
)


class Expected(NamedTuple):
    """What a line has to say. ``recipient`` None: not known; ``rests_on``: consent or power, and its version."""

    delivery_id: str
    recipient: str | None
    rests_on: tuple[Any, Any]
    digest: str


def load(path: Path) -> Any:
    """The line of a file of its own, alone or as a package of evidence keeps it. Raises Refused."""
    raw = read_file(path, tlog.MAX_PROOF)
    try:
        return alone(parse(raw))
    except WRONG:
        raise Refused(f"{path} is no line of the log of reads.", f"{path} 不是读取记录。", status=2) from None


def find(path: Path, delivery_id: str) -> Any:
    """The line about a delivery in a package of evidence, which is not checked itself. Raises Refused."""
    with verify_archive.open_archive(path) as file:
        for name in file.namelist():
            try:
                for raw in verify_archive.lines(file, name, MAX_LINE) if name.startswith(READS) else ():
                    line = alone(parse(raw))
                    if line is not None and line["statement"]["delivery_id"] == delivery_id:
                        return line
            except (*WRONG, *verify_archive.DAMAGED):
                where = ascii(name)[1:-1]
                raise Refused(f"{where} is no line of the log of reads.", f"{where} 不是读取记录。") from None
    raise Refused("The package has no line about this delivery.", "证据包里没有这次读取的记录。")


def alone(document: Any) -> Any:
    return document["evidence"] if set(document) == {"read", "evidence"} else document


def covers(line: Any) -> bool:
    """Whether it names a digest of an answer; nothing of it is checked."""
    try:
        return line["statement"]["response_digest"] is not None
    except WRONG:
        return False


def check(line: Any, expected: Expected, log_key: str | None, witnesses: Witnesses = NOBODY) -> list[Sentence]:
    """That the line is about this very answer and, with the log's key, in the log. Raises Refused."""
    if isinstance(line, dict) and line.get("proof", "") is None:
        raise Refused(
            "The line has no proof from the log yet: it comes a second or two after the read.",
            "这条记录还没有存证链的证明：读取后一两秒才有。",
            status=2,
        )
    statement, _entry, _proof = tlog.check_statement(line)
    check_about(statement, expected)
    told, said = [in_words(statement.get("response_digest"))], describe(statement)
    if log_key is None:
        return [*told, NOT_LOOKED_UP, said]
    found = tlog.check_evidence(line, log_key)
    return [*told, tlog.in_words(found), *cosignatures.check(line["proof"].encode(), witnesses), said]


def check_about(statement: dict[str, Any], expected: Expected) -> None:
    if statement.get("kind") != "access" or statement.get("delivery_id") != expected.delivery_id:
        raise Refused("The line is about something else than this delivery.", "这条记录说的不是这次读取。")
    if expected.recipient is not None and statement.get("client_id") != expected.recipient:
        to = shown(statement.get("client_id"))
        raise Refused(f"The line names another recipient: {to}.", f"记录里的接收方不同：{to}。")
    if rests_on(statement) != expected.rests_on:
        raise Refused(
            "The line names another authorization, or another version of it, than the answer does.",
            "记录里的授权或其版本与应答里的不一致。",
        )
    if statement.get("response_digest") not in (None, expected.digest):
        raise Refused(
            "The answer is not the one that the line covers: its digest is another.",
            "应答与记录不符：摘要不同，应答不是当时提供的那一份。",
        )


def rests_on(statement: dict[str, Any]) -> tuple[Any, Any]:
    if statement.get("power_id") is not None:
        return statement["power_id"], statement.get("power_version")
    return statement.get("consent_id"), statement.get("consent_version")


def describe(statement: dict[str, Any]) -> Sentence:
    """Who read, when and what for, as the line says it."""
    names = ("recipient", "client_id", "at", "purpose")
    recipient, client, at, purpose = (shown(statement.get(name)) for name in names)
    return (
        f"By its line: read by {recipient} ({client}), {at}, for: {purpose}.",
        f"据读取记录：读取方 {recipient}（{client}），时间 {at}，用途：{purpose}。",
    )


def shown(value: Any) -> str:
    """Nothing that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))


def in_words(digest: str | None) -> Sentence:
    if digest is not None:
        return "The log of reads covers exactly this answer.", "读取记录的摘要与这份应答完全一致。"
    return (
        "The log of reads has this delivery, but no digest of the answer.",
        "读取记录里有这次读取，但没有应答的摘要。",
    )
