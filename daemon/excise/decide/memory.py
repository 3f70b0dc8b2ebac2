"""Learned state as bytes and back: tables, names, links, evidence. Decisions are the store's.

An `.npz` without pickles: arrays by name, and one JSON document for what is not an array.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from tokenize import TokenError
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from excise.campaigns.register import Campaign
from excise.decide.judge import Judge
from excise.decide.score import Dossier, Evidence
from excise.decide.trials import Trial
from excise.errors import InvalidError
from excise.features.interner import Interner
from excise.features.world import World
from excise.model.entity import TABLED, Kind
from excise.rules.schema import Rule

VERSION = 8
Arrays = dict[str, NDArray[np.generic]]
#: what numpy and zipfile raise for bytes that are no archive, or a damaged one
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,  # "encrypted"; NotImplementedError: flags that zipfile does not know
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,  # an array's header is a Python literal, which numpy parses
    TokenError,
)


class Version(msgspec.Struct, frozen=True):
    """The one thing to read of notes before all else."""

    version: int


class EvidenceNote(msgspec.Struct, frozen=True):
    """One rule's evidence on a row."""

    row: int
    rule: str
    fired: float
    numbers: tuple[tuple[str, float, float], ...]


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """All that is not an array."""

    version: int
    landmark: float
    generation: float
    evidence: dict[str, list[EvidenceNote]]
    guilty: list[tuple[int, int]]
    tripped: str
    extra: dict[str, float]
    hits: dict[str, int]
    baselines: list[tuple[str, str, float, float]]
    heard: list[tuple[int, float]]
    judged: list[tuple[str, int, float]]
    #: subnets whose members are met one by one, with what is typical there
    hot_subnets: list[tuple[int, float]]
    #: why the peers in the log are not taken for clients, `""` if they are
    doubt: str
    #: (address, when it was first and last a peer of others)
    proxies: list[tuple[str, float, float]]
    campaigns: list[Campaign]
    #: accounts taken out of campaigns, the next campaign's number, and the waves under way
    released: list[int]
    serial: int
    waiting: dict[str, list[int]]
    waves: dict[str, float]
    counted: tuple[float, int, int] | None
    #: when the window of trials ends and how long it is, the last trial of each campaign, and
    #: accounts taken out of them
    border: float
    window_s: float
    trials: list[Trial]
    untried: list[int]


def dump_world(world: World) -> Arrays:
    """Return the world's state as arrays."""
    out: Arrays = {}
    for kind in TABLED:
        names: Interner[str] | Interner[int]
        names = world.uses if kind is Kind.USE else world.interner(kind)
        out |= _dump_names(kind.value, names)
        table, used = world.tables[kind], len(names.keys)
        out[f"{kind.value}.sums"] = table.sums[:used]
        out[f"{kind.value}.first"] = table.first[:used]
        out[f"{kind.value}.last"] = table.last[:used]
        for name, sketch in table.sketches.items():
            out[f"{kind.value}.{name}.now"] = sketch.now[:used]
            out[f"{kind.value}.{name}.before"] = sketch.before[:used]
        out |= table.handshakes.dump() if table.handshakes is not None else {}
    clients = len(world.clients.keys)
    for name, column in world.client_columns().items():
        out[f"client.{name}"] = column[:clients]
    out["signals.seen"] = world.signals.seen
    out |= _dump_names("org", world.conduct.orgs)
    out |= _dump_names("model", world.conduct.habits.models.names)
    return out | world.links.dump() | world.conduct.dump(len(world.accounts.keys))


def _dump_names(label: str, names: Interner[str] | Interner[int]) -> Arrays:
    live = np.array([key is not None for key in names.keys])
    if isinstance(names.keys[0], int):
        text = np.array([key or 0 for key in names.keys], dtype=np.int64).view(np.uint8)
    else:
        # Names are other people's words: any separator may be in one.
        text = np.frombuffer(msgspec.json.encode(names.keys), dtype=np.uint8)
    return {f"{label}.names": text, f"{label}.live": live}


def load_world(world: World, arrays: Arrays) -> None:
    """Load what `dump_world` returned into a fresh world of at least that capacity.

    Raises InvalidError for arrays that are missing or too large; nothing is then loaded.
    """
    _check(world, arrays)
    for kind in TABLED:
        names: Interner[str] | Interner[int]
        names = world.uses if kind is Kind.USE else world.interner(kind)
        used = len(arrays[f"{kind.value}.live"])
        table = world.tables[kind]
        _load_names(names, arrays[f"{kind.value}.names"], arrays[f"{kind.value}.live"])
        table.sums[:used] = arrays[f"{kind.value}.sums"]
        table.first[:used] = arrays[f"{kind.value}.first"]
        table.last[:used] = arrays[f"{kind.value}.last"]
        for name, sketch in table.sketches.items():
            sketch.now[:used] = arrays[f"{kind.value}.{name}.now"]
            sketch.before[:used] = arrays[f"{kind.value}.{name}.before"]
        if table.handshakes is not None:
            table.handshakes.load(arrays)
    for name, column in world.client_columns().items():
        column[: len(world.clients.keys)] = arrays[f"client.{name}"]
    world.links.load(arrays)
    world.conduct.load(arrays)
    world.signals.seen = arrays["signals.seen"].astype(np.float64)
    _load_names(world.conduct.orgs, arrays["org.names"], arrays["org.live"])
    models = world.conduct.habits.models
    _load_names(models.names, arrays["model.names"], arrays["model.live"])
    world.directory.reindex()


#: columns of the judge by client row and by account row
TIMES = ("settled", "watched", "told")
#: what trials have counted
MARKS = ("marks.times", "marks.sums")


def dump_times(judge: Judge) -> Arrays:
    """Return until when clients and accounts need not be looked at, and what trials counted."""
    clients, accounts = (judge.world.used(k) for k in (Kind.CLIENT, Kind.ACCOUNT))
    return {
        "settled": judge.settled[:clients],
        "watched": judge.watch.due[:clients],
        "told": judge.crowd.told[:accounts],
    } | judge.trials.marks.dump()


def load_times(judge: Judge, arrays: Arrays) -> None:
    """Load what `dump_times` returned."""
    columns = {"settled": judge.settled, "watched": judge.watch.due, "told": judge.crowd.told}
    for name, column in columns.items():
        stored = arrays[name][: len(column)]
        column[: len(stored)] = stored.astype(np.float64)
    if judge.trials.border:
        judge.trials.marks.load(*(arrays[name].astype(np.float64) for name in MARKS))


def _check(world: World, arrays: Arrays) -> None:
    missing = [name for name in (*dump_world(world), *TIMES, *MARKS) if name not in arrays]
    if missing:
        raise InvalidError(f"the snapshot is damaged: it has no {missing[0]}")
    rows = {kind.value: (f"{kind.value}.live", table) for kind, table in world.tables.items()}
    sizes = {label: (len(arrays[name]), table.capacity) for label, (name, table) in rows.items()}
    sizes["tie"] = len(arrays["ties.account"]), len(world.conduct.ties.account)
    sizes["handoff"] = len(arrays["handoffs.taker"]), world.conduct.handoffs.capacity
    clients = world.tables[Kind.CLIENT].capacity
    sizes["handshake"] = len(arrays["handshakes.now"]), clients
    wholes = world.conduct.dialogues.wholes
    sizes["dialogue"] = len(arrays["dialogues.wholes"]), wholes.capacity
    sizes["link"] = len(arrays["links.client"]), len(world.links.client)
    for label, (used, capacity) in sizes.items():
        if used > capacity:
            raise InvalidError(
                f"the snapshot holds {used} rows of {label}, the configuration allows {capacity}",
                hint="raise capacity, or delete the snapshot",
            )


def _load_names(names: Interner[Any], text: NDArray[np.generic], live: NDArray[np.generic]) -> None:
    raw = text.tobytes()
    numeric = isinstance(names.keys[0], int)
    keys = np.frombuffer(raw, np.int64).tolist() if numeric else msgspec.json.decode(raw)
    names.load([key if alive else None for key, alive in zip(keys, live, strict=True)])


def notes(
    judge: Judge,
    extra: dict[str, float],
    hits: dict[str, int],
    baselines: list[tuple[str, str, float, float]],
) -> Notes:
    """Collect what is not an array."""
    return Notes(
        version=VERSION,
        landmark=judge.world.landmark,
        generation=judge.world.generation,
        evidence={
            kind.value: [
                EvidenceNote(row, e.rule.id, e.fired, e.numbers)
                for row, dossier in dossiers.items()
                for e in dossier.evidence.values()
            ]
            for kind, dossiers in judge.cases.dossiers.items()
        },
        guilty=judge.neighbours.guilty.all(),
        tripped=judge.docket.brake.tripped,
        extra=extra,
        hits=hits,
        baselines=baselines,
        heard=list(judge.heard.items()),
        judged=[(kind.value, row, at) for (kind, row), at in judge.judged.items()],
        hot_subnets=[
            (row, judge.neighbours.typical[row])
            for row in np.flatnonzero(judge.cases.hot_subnet).tolist()
        ],
        doubt=judge.docket.doubt,
        proxies=judge.world.proxies.dump(),
        campaigns=list(judge.crowd.register.campaigns.values()),
        released=sorted(judge.crowd.register.released),
        serial=judge.crowd.register.serial,
        waiting=judge.crowd.waiting,
        waves=judge.crowd.waves,
        counted=judge.docket.counted,
        border=judge.trials.border,
        window_s=judge.trials.wanted.duration_s,
        trials=list(judge.trials.trials.values()),
        untried=sorted(judge.trials.draw.released),
    )


def recall(judge: Judge, note: Notes, rules: dict[str, Rule]) -> None:
    """Load evidence of rules that still exist, and guilt."""
    judge.world.landmark, judge.world.generation = note.landmark, note.generation
    for kind in Kind:
        for e in note.evidence.get(kind.value, []):
            if e.rule in rules:
                dossier = judge.cases.dossiers[kind].setdefault(e.row, Dossier())
                dossier.evidence[e.rule] = Evidence(rules[e.rule], e.fired, e.numbers)
    for version, bits in note.guilty:
        judge.neighbours.guilty.add(version, bits, judge.docket.settings.governor)
    judge.docket.brake.tripped = note.tripped
    judge.docket.doubt = note.doubt
    judge.world.proxies.load(note.proxies)
    judge.heard = dict(note.heard)
    judge.judged = {(Kind(kind), row): at for kind, row, at in note.judged}
    for row, typical in note.hot_subnets:
        if row in judge.cases.dossiers[Kind.SUBNET]:
            judge.cases.hot_subnet[row] = True
            judge.neighbours.typical[row] = typical
    judge.cases.reindex(judge.docket.ladder, note.extra["now"])
    judge.crowd.load(note.campaigns, note.released, note.serial, note.extra["now"])
    judge.crowd.waiting, judge.crowd.waves = dict(note.waiting), dict(note.waves)
    judge.docket.counted = note.counted
    wanted = judge.trials.wanted
    same = wanted.enabled and wanted.duration_s == note.window_s
    border = note.border if same else 0.0
    judge.trials.resume(border, note.trials, note.untried, note.extra["now"])


def pack(arrays: Arrays, note: Notes) -> bytes:
    """Pack arrays and notes into bytes."""
    out = io.BytesIO()
    document = np.frombuffer(msgspec.json.encode(note), dtype=np.uint8)
    np.savez(out, allow_pickle=False, notes=document, **arrays)
    return out.getvalue()


def unpack(blob: bytes) -> tuple[Arrays, Notes]:
    """Unpack what `pack` made. Raises InvalidError for damage or another version."""
    try:
        stored = np.lib.npyio.NpzFile(io.BytesIO(blob), allow_pickle=False)
        with stored:
            arrays = {name: stored[name] for name in stored.files}
        document = arrays.pop("notes").tobytes()
        version = msgspec.json.decode(document, type=Version).version
        if version != VERSION:
            raise InvalidError(f"the snapshot is of version {version}, not {VERSION}")
        return arrays, msgspec.json.decode(document, type=Notes)
    except DAMAGE as error:
        raise InvalidError(f"the snapshot is damaged: {error}") from error
