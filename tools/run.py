"""`make run`: the service, its worker, the demonstration bank and a hospital's counter on this machine, until Ctrl-C.

PORT and BANK_PORT say where; everything is kept in var/, so that the next run goes on where this one stopped.
"""

import os
import sys
import unicodedata
from typing import TextIO

from tools import demonstration
from tools.demonstration import Demonstration, Person
from tools.processes import ROOT, DemonstrationError, Processes, Stopped, require_free, stop_on_signals
from tools.registries import NAMES


def main() -> int:
    """The exit status: 0 after Ctrl-C, 1 when something could not start or has ended by itself."""
    stop_on_signals()
    try:
        port, bank_port = _port("PORT", 8000), _port("BANK_PORT", 8001)
        require_free(port, "PORT")
        for number in range(bank_port, bank_port + 3 + len(NAMES)):  # then registries, counter, witness
            require_free(number, "BANK_PORT")
        demo = demonstration.at(ROOT / "var", port, bank_port)
        _say(f"Preparing the demonstration in {demo.folder.relative_to(ROOT)}/ ...")
        demonstration.prepare(demo)
        people = demonstration.people(demo)
        demo, witness = demonstration.watched(demo)
        everything = [*demonstration.registries(demo), *demonstration.commands(demo), demonstration.counter(demo)]
        with Processes([witness, *everything]) as processes:
            _say(_welcome(demo, people))
            processes.watch()
    except Stopped:
        _say("\nStopped. `make run` goes on from here.")
        return 0
    except DemonstrationError as error:
        _say(f"\n{error}", to=sys.stderr)
        return 1


def _welcome(demo: Demonstration, people: list[Person]) -> str:
    width = max(_columns(p.name) for p in people)
    lines = [
        "",
        f"  Data spaces and authorizations   {demo.issuer}",
        f"  Demonstration bank               {demo.bank_url}",
        f"  A hospital's counter             {demo.counter_url}",
        f"  Five base registries             {demo.bank_port + 1} to {demo.bank_port + len(NAMES)}, asked every minute",
        f"  A witness of its log             {demo.issuer}/log/cosigned shows what it has cosigned",
        "",
        f"  Enrol a passkey at {demo.issuer}/enrol with the code of a person, then ask the bank for a loan.",
        "  Codes work once, for 24 hours; each run prints fresh ones for whoever has no passkey yet.",
        "",
    ]
    for person in people:
        pad = " " * (width - _columns(person.name))
        lines.append(f"  {person.name}{pad}  {person.code or '(has a passkey)':<19}  {person.about}")
    return "\n".join([*lines, "", "  Ctrl-C stops everything."])


def _columns(text: str) -> int:
    """How wide a terminal shows it: Chinese characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise DemonstrationError(f"{variable} must be a port number, not {text!r}")
    return int(text)


def _say(text: str, to: TextIO | None = None) -> None:
    stream = to or sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
