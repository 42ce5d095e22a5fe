"""No two open accounts have one address and no two listed products one stock-keeping unit, at no moment.

Accounts and reservations stand in different logs, so nothing orders them all. But a reservation's own log says who held it under which number,
one after the other, and an account's own log says under which number it began to use the address and when it left it for good. An account may
use an address only under a number that the reservation gave to it; the reservation may be ended only after the account has said that it never
uses that number, or will never be open again. So the uses under two numbers of one reservation never overlap.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from .evidence import Evidence, Log, Violation
from .lost import Touched
from .moments import Moments
from .runs import Record

# How far apart the brokers' stamps may be, in seconds.
CLOCKS = 0.01
# The service of each holder: the field that is unique, the events that begin its use, and the one after which nothing is used.
HOLDERS = {
    "users": ("email", ("UserRegistered", "UserProfileChanged"), "UserClosed", "UserEmailForgone"),
    "products": ("sku", ("ProductListed",), "ProductWithdrawn", "ProductSkuForgone"),
}
FIELDS = {"email-taken": ("users", "email"), "sku-taken": ("products", "sku")}


def plain(text: str) -> str:
    """One spelling for all that people take for the same."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold()).strip()


@dataclass
class Holder:
    """An account or a product, step by step: what it uses, and under which numbers it will use nothing more."""

    service: str
    id: str
    using: tuple[str, int] | None = None
    text: str | None = None
    ended: float | None = None
    gone: dict[tuple[str, int], float] = field(default_factory=dict)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    uses: list[tuple[str, int, str, Record]] = field(default_factory=list)

    def take(self, record: Record) -> None:
        """Folds an event."""
        name, begins, end, forgone = HOLDERS[self.service]
        value = record.value or {}
        if record.type in begins and value.get(name) is not None:
            self._use(record, value[name], value.get("reserved"))
        elif record.type == end:
            self._leave(record, value.get("left"))
            self.text, self.ended = None, record.time
        elif record.type == forgone:
            self._forgo(value["reserved"], record)

    def _use(self, record: Record, text: str, reserved: dict | None) -> None:
        if self.text is not None and plain(text) == plain(self.text):
            self.text = text
            return
        if self.text is not None:
            self._leave(record, (record.value or {}).get("left"))
        if reserved is None:
            self.wrong.append(("unreserved", f"{record.position} uses what it has not reserved"))
            self.text, self.using = text, None
            return
        self.text, self.using = text, (reserved["reservation_id"], reserved["number"])
        if any(id_ == self.using[0] and number >= self.using[1] for id_, number in self.gone):
            self.wrong.append(("used-forgone", f"{record.position} uses a reservation that was forgone before"))
        self.uses.append((*self.using, text, record))

    def _leave(self, record: Record, left: dict | None) -> None:
        said = left and (left["reservation_id"], left["number"])
        if said != self.using:
            self.wrong.append(("left-otherwise", f"{record.position} leaves {said}, it used {self.using}"))
        if self.using is not None:
            self.gone[self.using] = record.time
        self.using = None

    def _forgo(self, reserved: dict, record: Record) -> None:
        given_up = (reserved["reservation_id"], reserved["number"])
        if given_up == self.using:
            self.wrong.append(("forgone-in-use", f"{record.position} forgoes what it uses"))
        self.gone.setdefault(given_up, record.time)

    def is_done_with(self, reservation: str, number: int, by: float) -> bool:
        """Whether it had said, by then, that it never uses that number (again)."""
        times = [time for (id_, upto), time in self.gone.items() if id_ == reservation and upto >= number]
        times += [self.ended] if self.ended is not None else []
        return any(time <= by + CLOCKS for time in times)


def holders_of(log: Log) -> dict[str, Holder]:
    """All of them, by id."""
    found: dict[str, Holder] = {}
    for service in HOLDERS:
        for record in log.counted(service):
            found.setdefault(record.key, Holder(service, record.key)).take(record)
    return found


def check(evidence: Evidence) -> list[Violation]:
    """All that is had by two, or had without its reservation."""
    holders = holders_of(evidence.log)
    names = Touched(evidence).names
    found = [Violation(kind, text, holder.id) for holder in holders.values() for kind, text in holder.wrong]
    found += reserved(evidence, holders)
    return [*(violation for violation in (*found, *ended(evidence, holders)) if violation.aggregate not in names), *doubles(holders, names)]


def reserved(evidence: Evidence, holders: dict[str, Holder]) -> Iterator[Violation]:
    """Each use is under a number that the reservation gave to this holder; one text has one reservation."""
    made = {
        (record.key, record.version): (record.value or {}).get("holder")
        for record in evidence.log.counted("reservations")
        if record.type == "ReservationMade"
    }
    texts: dict[tuple[str, str], set[str]] = defaultdict(set)
    ids: dict[str, set[str]] = defaultdict(set)
    for holder in holders.values():
        for id_, number, text, record in holder.uses:
            if made.get((id_, number)) != holder.id:
                yield Violation("unreserved", f"{record.position} uses {id_} under {number}, which is not its own", holder.id)
            texts[holder.service, plain(text)].add(id_)
            ids[id_].add(plain(text))
    for (service, _), several in texts.items():
        if len(several) > 1:
            yield Violation("two-reservations", f"one text of {service} has the reservations {sorted(several)}")
    for id_, several in ids.items():
        if len(several) > 1:
            yield Violation("two-texts", f"{len(several)} texts have the reservation {id_}")


def ended(evidence: Evidence, holders: dict[str, Holder]) -> Iterator[Violation]:
    """A reservation is ended only once its holder never uses it again."""
    for record in evidence.log.counted("reservations"):
        if record.type == "ReservationEnded" and record.value:
            holder = holders.get(record.value["holder"])
            if holder is None or not holder.is_done_with(record.key, record.value["number"], record.appended_by):
                text = f"{record.position} ends what {record.value['holder']} may still use"
                yield Violation("ended-in-use", text, record.key)


def doubles(holders: dict[str, Holder], names: set[str]) -> Iterator[Violation]:
    """In the end nobody shares."""
    by: dict[tuple[str, str], list[str]] = defaultdict(list)
    for holder in holders.values():
        if holder.text is not None:
            by[holder.service, plain(holder.text)].append(holder.id)
    for (service, _), ids in by.items():
        if len(ids) > 1 and not names.intersection(ids):
            yield Violation("shared", f"the {service} {', '.join(sorted(ids))} share one {HOLDERS[service][0]}", ids[0])


class Taken:
    """Who may have had what, when."""

    def __init__(self, evidence: Evidence, moments: Moments):
        self._moments = moments
        self._holders: dict[tuple[str, str], set[str]] = defaultdict(set)
        for log in (evidence.log, *(loss.log for loss in evidence.losses)):
            for holder in holders_of(log).values():
                for _, _, text, _ in holder.uses:
                    self._holders[holder.service, plain(text)].add(holder.id)

    def by_another(self, code: str, body: dict, start: float, end: float) -> bool:
        """Whether somebody had it at some moment between."""
        service, name = FIELDS[code]
        wanted = plain(str(body.get(name)))
        states = (
            state for id_ in self._holders[service, wanted] for state in self._moments.within(service, id_, start, end)
        )
        return any(state["status"] in ("open", "listed") and plain(state["unique"]) == wanted for state in states)
