"""Asking witnesses for cosignatures (C2SP tlog-witness): each is shown the new head and that it continues the old one.

The log never waits for them. Touches no database between asking and answering.
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from consent import evidence, notes
from consent.cosignatures import Outcome
from consent.evidence import Head
from consent.notes import COSIGNATURE, DASH, InvalidNote, Signature, Verifier
from dataspace import fetching
from dataspace.addresses import FetchRefused, check_url
from dataspace.errors import SettingsError
from dataspace.fetching import Answered

MAX_ANSWER = 64 * 1024  # bytes: several lines, some with signatures of kinds that we do not know
AHEAD = 300  # seconds that the clock of a witness may be before ours
SIZE_TYPE = "text/x.tlog.size"
INSIDE = "inside"
MAX = 15  # beside the log's own signature: a reader accepts 16 at least (signed-note, Format)
REFUSALS: Mapping[int, str] = {
    400: "it cannot read what we send",
    403: "it does not know the key of this log",
    404: "it does not know this log, or there is no witness at this address",
    422: "it says that the log does not continue what it has seen",
}
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, kw_only=True)
class Witness:
    """``url``: its submission prefix; ``inside``: the operator vouches for the address, which may be an inner one."""

    verifier: Verifier
    url: str
    inside: bool = False

    @classmethod
    def parse(cls, text: str, *, allow_loopback: bool) -> "Witness":
        """Read ``KEY ADDRESS`` or ``KEY ADDRESS inside``. Raises SettingsError."""
        wrong = SettingsError("DATASPACE_WITNESSES: the key of a witness and its address, then 'inside' or nothing")
        words = text.split()
        if len(words) < 2 or words[2:] not in ([], [INSIDE]):
            raise wrong
        key, url, inside = words[0], words[1], len(words) > 2
        try:
            verifier = Verifier.parse(key)
            check_url(url, allow_loopback=allow_loopback, inside=inside)
        except (InvalidNote, FetchRefused) as error:
            raise SettingsError(f"DATASPACE_WITNESSES: {error.detail}") from None
        if verifier.kind != COSIGNATURE:
            raise wrong
        return cls(verifier=verifier, url=url.rstrip("/"), inside=inside)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What one witness is shown: that the log with ``old`` entries, which it knows, is the beginning of this one."""

    witness: Witness
    old: int
    log: Head
    proof: list[bytes]

    @property
    def body(self) -> bytes:
        """As tlog-witness has it: the old size, the proof, the checkpoint."""
        lines = "".join(f"{notes.base64_of(found)}\n" for found in self.proof)
        return f"old {self.old}\n{lines}\n".encode() + self.log.note


def all_of(settings: Collection[str], *, quorum: int, allow_loopback: bool) -> tuple[Witness, ...]:
    """The witnesses of the settings. Raises SettingsError."""
    found = tuple(Witness.parse(text, allow_loopback=allow_loopback) for text in settings)
    if len({witness.verifier for witness in found}) != len(found):
        raise SettingsError("DATASPACE_WITNESSES names a witness twice")
    if len(found) > MAX:
        raise SettingsError(f"DATASPACE_WITNESSES names more than {MAX}: readers need not accept so many signatures")
    if quorum < 1 or (found and quorum > len(found)):
        raise SettingsError("DATASPACE_WITNESS_QUORUM must be at least 1 and at most the number of witnesses")
    return found


def question(witness: Witness, old: int, log: Head) -> Question | Outcome:
    """What to show to a witness that knows ``old`` entries, or why it makes no sense."""
    if old > log.size:
        problem = f"it has seen {old} entries, more than the log has"
        return Outcome(verifier=str(witness.verifier), size=old, problem=problem, contradicts=True)
    proof = evidence.consistency(old, log.size, log.log) if old else []
    return Question(witness=witness, old=old, log=log, proof=proof)


def ask(questions: Collection[Question], now: dt.datetime, *, allow_loopback: bool) -> list[Outcome]:
    """Ask all of them at the same time."""
    if not questions:
        return []
    with ThreadPoolExecutor(len(questions), thread_name_prefix="witness") as several:
        return list(several.map(lambda one: _ask(one, now, allow_loopback=allow_loopback), questions))


def _ask(one: Question, now: dt.datetime, *, allow_loopback: bool) -> Outcome:
    verifier = one.witness.verifier
    try:
        answer = fetching.post(
            f"{one.witness.url}/add-checkpoint", one.body, content_type="text/plain; charset=utf-8",
            accept="text/plain", max_bytes=MAX_ANSWER, allow_loopback=allow_loopback, inside=one.witness.inside,
        )  # fmt: skip
        if answer.status == 409:
            return _conflict(one, answer)
        if answer.status != 200:
            problem = REFUSALS.get(answer.status, f"it answered {answer.status}")
            return Outcome(verifier=str(verifier), problem=problem, contradicts=answer.status == 422)
        return Outcome(verifier=str(verifier), signature=_cosignature(answer.body, one, now))
    except (FetchRefused, InvalidNote) as error:
        return Outcome(verifier=str(verifier), problem=error.detail)


def _conflict(one: Question, answer: Answered) -> Outcome:
    """It knows another size; when it is the one that we have named, it knows another log of that size."""
    verifier = str(one.witness.verifier)
    found = _SIZE.fullmatch(answer.body)
    if found is None or answer.content_type.partition(";")[0].strip().lower() != SIZE_TYPE:
        return Outcome(verifier=verifier, problem="it answered 409 without a size")
    size = int(found[1])
    if size == one.old:
        return Outcome(verifier=verifier, problem=f"it has seen another log of {size} entries", contradicts=True)
    return Outcome(verifier=verifier, size=size, problem=f"it has seen {size} entries")


def _cosignature(body: bytes, one: Question, now: dt.datetime) -> Signature:
    """The line by the key of this witness, found to be one over our checkpoint. Raises InvalidNote."""
    verifier, text = one.witness.verifier, notes.Note.parse(one.log.note).text
    try:
        lines = body.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InvalidNote("it answered with something else than signatures") from None
    if not all(line.startswith(DASH) for line in lines):
        raise InvalidNote("it answered with something else than signatures")
    # Lines by other keys are none of our business (tlog-witness, add-checkpoint).
    for signature in (Signature.parse(line) for line in lines):
        if signature.fits(verifier):
            verifier.verify(text, signature.blob)
            if notes.timestamp_of(signature.blob) > now.timestamp() + AHEAD:
                raise InvalidNote("its cosignature is of a time to come")
            return signature
    raise InvalidNote("its answer has no signature by the key that we know")
