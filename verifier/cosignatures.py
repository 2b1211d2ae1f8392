"""What the programs here have in common about witnesses (C2SP tlog-witness): whom somebody trusts, what they signed.

Shares no code with the service.
"""

import argparse
import datetime as dt
from typing import NamedTuple

import tlog
from signed import Refused, Sentence


class Witnesses(NamedTuple):
    """So many (``quorum``) of these verifier keys must have cosigned; without keys nobody must."""

    keys: list[str]
    quorum: int


NOBODY = Witnesses([], 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--witness", action="append", default=[], help="verifier key of a witness, or a file with it")
    parser.add_argument("--quorum", type=int, help="how many of the witnesses must have cosigned (default: all)")


def load(given: argparse.Namespace) -> Witnesses:
    """The witnesses that the arguments name. Raises Refused."""
    if given.quorum is not None and not given.witness:
        raise Refused("--quorum says how many of which --witness.", "--quorum 须与 --witness 一起使用。", status=2)
    keys = [tlog.load_key(witness) for witness in given.witness]
    return Witnesses(keys, len(keys) if given.quorum is None else given.quorum)


def check(proof: bytes, witnesses: Witnesses) -> list[Sentence]:
    """Who has cosigned the checkpoint under which a proof (tlog-proof) leads; nothing for nobody. Raises Refused."""
    if not witnesses.keys:
        return []
    found = tlog.check_cosignatures(tlog.read_proof(proof).note, witnesses.keys, witnesses.quorum)
    named = [f"{name} ({dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%S} UTC)" for name, at in found]
    return [(f"Cosigned by {', '.join(named)}.", f"会签的见证者：{'、'.join(named)}。")]


def joined(sentences: list[Sentence]) -> Sentence:
    """As one."""
    return " ".join(english for english, _chinese in sentences), "".join(chinese for _english, chinese in sentences)
