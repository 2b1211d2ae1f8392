"""What a source brings, from unchecked to kept: checked, stored, counted, and why some of it was not taken."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dataspace.identifiers import BlindIndex
from dataspace.sources import quality, registry, storing
from dataspace.sources.checking import Checked, Checker
from dataspace.sources.incoming import Flawed, Incoming
from dataspace.sources.registry import Source
from dataspace.sources.storing import Demanded, Outcome, Verdict
from dataspace.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Reception:
    """Everything that taking in the records of one source needs; made once for many batches."""

    source_id: str
    checker: Checker
    vault: Vault
    index: BlindIndex
    demanded: Demanded

    @classmethod
    def of(
        cls, source: Source, now: dt.datetime, *, vault: Vault, index: BlindIndex, demanded: Demanded
    ) -> "Reception":
        """For this source, under the catalogue as it is."""
        return cls(
            source_id=source.source_id, checker=Checker(source, now), vault=vault, index=index, demanded=demanded
        )

    def take(self, entries: Sequence[Incoming | Flawed], now: dt.datetime) -> list[Verdict]:
        """A verdict for each entry, in the order of their places; to be committed as a whole."""
        good: list[Checked] = []
        verdicts: list[Verdict] = []
        for entry in entries:
            judged = self.checker.check(entry) if isinstance(entry, Incoming) else entry
            if isinstance(judged, Checked):
                good.append(judged)
            else:
                verdicts.append(_rejected(judged))
        registry.touch(self.source_id)
        verdicts += storing.store(
            good, now, source_id=self.source_id, vault=self.vault, index=self.index, demanded=self.demanded
        )
        verdicts.sort(key=lambda verdict: verdict.place)
        quality.count(self.source_id, verdicts, good, now)
        return verdicts


def _rejected(flaw: Flawed) -> Verdict:
    return Verdict(flaw.place, Outcome.REJECTED, flaw.item_id, flaw.reason, flaw.field)
