"""The state machines of the code, and where their states stand in pictures: of a consent, of a certificate."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from consent import data_certificates, records
from consent.data_certificates import LIVING, Stage, Step
from consent.records import LEFT_SOMETHING, LIVE, OPEN, Event, State

Point: TypeAlias = tuple[float, float]
Word: TypeAlias = enum.StrEnum


@dataclass(frozen=True, kw_only=True)
class Machine:
    """``about``: what it is the states of; ``file``: the picture; ``events``: their words begin with ``prefix``.

    ``new``: before the first event, drawn as a dot; ``good``: drawn green; ``places``: left and top of each box. That a
    state has none is an error: somebody has to choose one. ``above``: what leaves one of these as it is stands above
    its box. ``frames``: states from which the same event leads to the same end, or that it leaves as they are, are
    framed together: one arrow starts at the frame, one line of words stands at its foot. ``routes``: arrows that would
    cover each other: where they start and end, and where their words stand.
    """

    about: str
    file: str
    transitions: Mapping[tuple[Word, Word], Word]
    events: type[Word]
    prefix: str
    new: Word
    good: Word | None = None
    size: tuple[int, int]
    places: Mapping[Word, tuple[int, int]]
    above: frozenset[Word]
    frames: Mapping[str, tuple[frozenset[Word], tuple[int, int, int, int]]]
    routes: Mapping[tuple[Word, Word], tuple[Point, Point, Point]] = field(default_factory=dict)


CONSENT = Machine(
    about="a consent",
    file="states.svg",
    transitions=records.TRANSITIONS,
    events=Event,
    prefix="consent:",
    new=State.NEW,
    good=State.ACTIVE,
    size=(1020, 580),
    places={
        State.REQUESTED: (20, 270),
        State.REFUSED: (20, 460),
        State.PENDING_APPROVAL: (290, 84),
        State.ACTIVE: (290, 270),
        State.PAUSED: (540, 270),
        State.SUSPENDED: (290, 420),
        State.PAUSED_SUSPENDED: (540, 420),
        State.REJECTED: (840, 40),
        State.LAPSED: (840, 100),
        State.WITHDRAWN: (840, 200),
        State.INVALIDATED: (840, 290),
        State.TERMINATED: (840, 350),
        State.EXPIRED: (840, 410),
        State.EXHAUSTED: (840, 470),
    },
    above=frozenset(LIVE),
    frames={
        "live": (frozenset(LIVE), (274, 190, 420, 316)),
        "open": (frozenset(OPEN), (258, 44, 452, 480)),
        "ended": (frozenset(LEFT_SOMETHING), (806, 174, 206, 366)),
    },
    routes={
        (State.REQUESTED, State.PENDING_APPROVAL): ((120, 270), (290, 102), (190, 196)),
        (State.ACTIVE, State.PAUSED): ((428, 280), (540, 280), (484, 274)),
        (State.PAUSED, State.ACTIVE): ((540, 296), (428, 296), (484, 312)),
        (State.SUSPENDED, State.PAUSED_SUSPENDED): ((428, 430), (540, 430), (484, 424)),
        (State.PAUSED_SUSPENDED, State.SUSPENDED): ((540, 446), (428, 446), (484, 462)),
        (State.ACTIVE, State.SUSPENDED): ((330, 306), (330, 420), (330, 352)),
        (State.SUSPENDED, State.ACTIVE): ((388, 420), (388, 306), (388, 388)),
        (State.PAUSED, State.PAUSED_SUSPENDED): ((580, 306), (580, 420), (580, 352)),
        (State.PAUSED_SUSPENDED, State.PAUSED): ((638, 420), (638, 306), (638, 388)),
    },
)
CERTIFICATE = Machine(
    about="a certificate",
    file="certificate-states.svg",
    transitions=data_certificates.TRANSITIONS,
    events=Step,
    prefix="certificate:",
    new=Stage.NEW,
    size=(1090, 240),
    places={
        Stage.GENERATED: (40, 90),
        Stage.STORED: (240, 90),
        Stage.PRESENTED: (450, 140),
        Stage.USED: (670, 90),
        Stage.REVOKED: (930, 60),
        Stage.EXPIRED: (930, 120),
        Stage.SUPERSEDED: (930, 180),
    },
    above=frozenset(LIVING),
    frames={"living": (frozenset(LIVING), (20, 50, 870, 170))},
    routes={
        (Stage.STORED, Stage.PRESENTED): ((378, 116), (450, 158), (0, 0)),
        (Stage.PRESENTED, Stage.USED): ((588, 158), (670, 116), (0, 0)),
        (Stage.STORED, Stage.USED): ((378, 102), (670, 102), (0, 0)),
    },
)
MACHINES = (CONSENT, CERTIFICATE)
