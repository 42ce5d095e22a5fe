"""The mail: one message for each notification, whole, under the notification's own Message-ID, and none that nobody asked for.

A message to a user whose address the mail server refuses for ever is not delivered, and may be given up; no other may.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from .evidence import Evidence, Violation
from .moments import NEVER
from .runs import Group
from .sagas import Shop

# How many messages may be in flight when a process is interrupted, and go out again.
IN_FLIGHT = 64
# Faults behind which no message is sent twice, and those that interrupt more than one process.
NO_INTERRUPTION = ("gateway-refuses-one", "recipient-refuses", "gateway-hang")
INTERRUPTIONS = {"rolling-restart": 3, "rebalance-storm": 9}


def check(evidence: Evidence) -> list[Violation]:
    """All that is wrong with the mail."""
    shop = Shop(evidence)
    asked = shop.notifications
    boxes: dict[str, list[dict]] = defaultdict(list)
    for mail in evidence.mails:
        boxes[mail["file"]].append(mail)
    found = [
        Violation("mail-unasked", f"{mails[0]['node']} sent {id_}, which nobody asked for", id_)
        for id_, mails in boxes.items()
        if id_ not in asked and id_ not in shop.touched
    ]
    for id_, notification in asked.items():
        found += delivered(id_, notification, boxes.get(id_, []))
        if shop.is_refused(notification) and (notification.status == "delivered" or id_ in boxes):
            text = f"the notification {id_} goes to an address that the mail server refuses, and is {notification.status}"
            found.append(Violation("done-though-refused", text, id_))
    return [*found, *once(evidence, shop), *given_up(evidence, shop), *too_often(evidence)]


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


def once(evidence: Evidence, shop: Shop) -> Iterator[Violation]:
    """No customer is told how an order ended under two names. (Of its money there may be several things to tell; sagas.py counts them.)"""
    told: dict[tuple, set[str]] = defaultdict(set)
    for record in evidence.log.counted("notifications"):
        if record.type == "NotificationRequested" and record.value and record.value["kind"].startswith("order-"):
            told[record.value["order_id"], record.value["kind"]].add(record.key)
    for (order_id, kind), names in told.items():
        if len(names) > 1 and order_id not in shop.touched:
            yield Violation("mail-twice", f"{kind} of the order {order_id} was asked for as {sorted(names)}", order_id)


def given_up(evidence: Evidence, shop: Shop) -> Iterator[Violation]:
    """No message is given up while its user has an address, but for those that the mail server refuses."""
    spans = {user: span(groups) for user, groups in evidence.log.by_aggregate.items() if groups[0].first.service == "users"}
    asked = {record.key: record for record in evidence.log.counted("notifications") if record.type == "NotificationRequested"}
    for record in evidence.log.counted("notifications"):
        if record.type == "NotificationFailed" and record.value and record.key in asked:
            if shop.is_refused(shop.notifications[record.key]) or record.value["user_id"] in shop.touched:
                continue
            begins, ends = spans.get(record.value["user_id"], (NEVER, NEVER))
            if begins <= asked[record.key].time and record.time < ends:
                text = f"{record.position}: given up ({record.value['reason']}) while the user {record.value['user_id']} has an address"
                yield Violation("mail-given-up", text, record.key)


def span(groups: list[Group]) -> tuple[float, float]:
    """From when to when a user's account is open."""
    records = [record for group in groups for record in group.records]
    times = {kind: [record.time for record in records if record.type == kind] for kind in ("UserRegistered", "UserClosed")}
    return min(times["UserRegistered"], default=NEVER), min(times["UserClosed"], default=NEVER)


def repeats(evidence: Evidence) -> Counter:
    """How often each message went out, or lies in a mailbox, after the first time, under the same Message-ID: redelivery, which is allowed."""
    sent = Counter(mail["file"] for mail in evidence.mails if mail["size"])
    return Counter({id_: times - 1 for id_, times in sent.items() if times > 1})


def too_often(evidence: Evidence) -> Iterator[Violation]:
    """No more messages go out again than were in flight when something was interrupted. Mailboxes keep one copy each, and so tell nothing."""
    if not evidence.run.get("mail_server"):
        return
    again = repeats(evidence)
    kinds = [fault["kind"] for fault in evidence.faults if fault["kind"] not in NO_INTERRUPTION]
    interruptions = sum(INTERRUPTIONS.get(kind, 1) for kind in kinds)
    interruptions += sum(note["what"] == "ended by itself" for note in evidence.notes)
    if again.total() > IN_FLIGHT * interruptions:
        text = f"messages went out {again.total()} times more than once, after {interruptions} interruptions: {dict(again.most_common(3))}"
        yield Violation("mail-repeated", text, again.most_common(1)[0][0])
