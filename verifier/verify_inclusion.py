#!/usr/bin/env python3
"""Checks that something is in the evidence log, from its proof alone, without the service and without a network.

    python verify_inclusion.py proof.json --key KEY
    python verify_inclusion.py proof.txt --entry HEX --key KEY
    python verify_inclusion.py ... --witness W1 --witness W2 --quorum 1

proof.json is what the service hands out with a receipt, in an evidence package or beside a line of the log of reads:
{entry, proof, salt, statement}. From salt and statement the entry is computed, from the entry and the proof the
checkpoint, whose signature is checked with KEY: the log's verifier key, one line, from /log/key, or a file that holds
it. Get it once and keep it. A proof alone (C2SP tlog-proof) is checked for the entry that --entry names. With
--witness, so many of the named witnesses must have cosigned the checkpoint (W1, W2: their verifier keys): then it is
not one that the log's operator has made for you alone.

What it proves: exactly this was stated before the checkpoint was signed, and whoever shows the log to anybody must
show it with this in it. It does not prove that the statement is true.

Exit status: 0 it is in the log; 1 something does not match; 2 it could not be read. Needs Python 3.11, the package
"cryptography", and cosignatures.py, signed.py and tlog.py beside it; shares no code with the service.
"""

import argparse
import json
import sys
from pathlib import Path

import cosignatures
import tlog
from cosignatures import NOBODY, Witnesses
from signed import LANGUAGES, WRONG, Refused, Sentence, parse, read_file


def check(
    raw: bytes, entry: str | None, key: str, witnesses: Witnesses = NOBODY
) -> tuple[Sentence, dict[str, object] | None]:
    """Where it is, in words; and what was stated, unless only the entry is known. Raises Refused."""
    if entry is None:
        try:
            evidence = parse(raw)
        except WRONG:
            raise Refused(
                "The file is no proof with a statement. A proof alone needs --entry.",
                "文件里没有陈述和证明。只有证明时，请用 --entry 指定条目。",
                status=2,
            ) from None
        found = tlog.check_evidence(evidence, key)
        by = cosignatures.check(evidence["proof"].encode(), witnesses)
        return cosignatures.joined([tlog.in_words(found), *by]), found.statement
    try:
        wanted = bytes.fromhex(entry)
    except ValueError:
        raise Refused("The entry is not in hex.", "条目不是十六进制。", status=2) from None
    index, head = tlog.check_proof(raw, wanted, key)
    by = cosignatures.check(raw, witnesses)
    return cosignatures.joined([tlog.in_words(tlog.Found({}, index, head)), *by]), None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", type=Path, help="the proof, with or without its statement")
    parser.add_argument("--entry", help="the entry that it is about, in hex, when it comes without its statement")
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file with it")
    cosignatures.add_arguments(parser)
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    given = parser.parse_args(arguments)
    try:
        raw, key = read_file(given.proof, tlog.MAX_PROOF), tlog.load_key(given.key)
        said, statement = check(raw, given.entry, key, cosignatures.load(given))
    except Refused as refused:
        print(refused.sentence[given.language], file=sys.stderr)
        return refused.status
    print(said[int(given.language == "zh")])
    if statement is not None:
        print(json.dumps(statement, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
