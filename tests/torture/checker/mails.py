"""The mail: one message for each notification, whole, under the notification's own Message-ID, and none that nobody asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .evidence import Evidence, Violation
from .moments import NEVER
from .runs import Group
from .sagas import Shop


def check(evidence: Evidence) -> list[Violation]:
    """All that is wrong with the mail."""
    asked = Shop(evidence).notifications
    boxes: dict[str, list[dict]] = defaultdict(list)
    for mail in evidence.mails:
        boxes[mail["file"]].append(mail)
    found = [
        Violation("mail-unasked", f"{mails[0]['node']} sent {id_}, which nobody asked for", id_)
        for id_, mails in boxes.items()
        if id_ not in asked
    ]
    for id_, notification in asked.items():
        found += delivered(id_, notification, boxes.get(id_, []))
    return [*found, *once(evidence), *given_up(evidence)]


def delivered(id_: str, notification, mails: list[dict]) -> Iterator[Violation]:
    """A notification that is said to be delivered is in some mailbox, whole. A copy that a crash or a full disk has torn may lie beside it."""
    whole = [
        mail
        for mail in mails
        if mail["id"] == f"<{id_}@daybook>" and " ".join(mail["body"].split()) == " ".join(notification.asked["body"].split())
    ]
    if notification.status == "delivered" and not whole:
        yield Violation(
            "mail-missing", f"the notification {id_} is delivered, and no mailbox has it whole ({len(mails)} torn)", id_
        )
    for mail in mails:
        if mail["id"] not in ("", f"<{id_}@daybook>"):
            yield Violation("mail-twice", f"the notification {id_} went out as {mail['id']} too", id_)


def once(evidence: Evidence) -> Iterator[Violation]:
    """No customer is told the same of an order under two names."""
    told: dict[tuple, set[str]] = defaultdict(set)
    for record in evidence.log.counted("notifications"):
        if record.type == "NotificationRequested" and record.value:
            told[record.value["order_id"], record.value["kind"]].add(record.key)
    for (order_id, kind), names in told.items():
        if len(names) > 1:
            yield Violation("mail-twice", f"{kind} of the order {order_id} was asked for as {sorted(names)}", order_id)


def given_up(evidence: Evidence) -> Iterator[Violation]:
    """No message is given up for want of an address while its user has one."""
    spans = {user: span(groups) for user, groups in evidence.log.by_aggregate.items() if groups[0].first.service == "users"}
    asked = {record.key: record for record in evidence.log.counted("notifications") if record.type == "NotificationRequested"}
    for record in evidence.log.counted("notifications"):
        if record.type == "NotificationFailed" and record.value and record.key in asked:
            begins, ends = spans.get(record.value["user_id"], (NEVER, NEVER))
            if begins <= asked[record.key].time and record.time < ends:
                text = f"{record.position}: given up ({record.value['reason']}) while the user {record.value['user_id']} has an address"
                yield Violation("mail-given-up", text, record.key)


def span(groups: list[Group]) -> tuple[float, float]:
    """From when to when a user's account is open."""
    closed = [record.time for group in groups for record in group.records if record.type == "UserClosed"]
    return groups[0].first.time, min(closed, default=NEVER)


def copies(evidence: Evidence) -> int:
    """How many messages lie in more than one mailbox, under the same Message-ID: redelivery, which is allowed."""
    boxes: dict[str, set[str]] = defaultdict(set)
    for mail in evidence.mails:
        if mail["size"]:
            boxes[mail["file"]].add(mail["node"])
    return sum(len(nodes) > 1 for nodes in boxes.values())
