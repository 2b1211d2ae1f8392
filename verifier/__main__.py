#!/usr/bin/env python3
"""All programs that check what the data space authorization service hands out, in one file.

    python verifier.pyz WHAT ...      for instance: python verifier.pyz receipt receipt.json --keys keys.json
    python verifier.pyz WHAT --help

Needs Python 3.11 and the package "cryptography"; shares no code with the service. verifier.pyz is a zip file of the
programs as they are: unpack it to read them, or to run each by itself.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

HERE = str(Path(__file__).parent)  # a folder, or the file verifier.pyz
PREFIX = "verify_"


def programs() -> list[str]:
    found = (module.name for module in pkgutil.iter_modules([HERE]))
    return sorted(name.removeprefix(PREFIX) for name in found if name.startswith(PREFIX))


def main(arguments: list[str]) -> int:
    sys.path.insert(0, HERE)  # the programs find each other by their names, also when they are carried away
    what, known = arguments[0] if arguments else "", programs()
    if what in known:
        sys.argv[0] = f"verifier {what}"
        return int(importlib.import_module(PREFIX + what).main(arguments[1:]))
    print(__doc__)
    for name in known:
        said = (importlib.import_module(PREFIX + name).__doc__ or "").strip().splitlines()
        print(f"  {name:12} {said[0] if said else ''}")
    return 0 if what in ("--help", "-h") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
