"""The dead letters: only what is refused for ever stands there, and what is given up is told and stands there."""

from __future__ import annotations

from collections.abc import Iterator

from ..workload.stuck import UNANSWERED
from .evidence import Evidence, Violation
from .sagas import Shop


def check(evidence: Evidence) -> list[Violation]:
    """All letters that should not be there, and those that are missing."""
    shop = Shop(evidence)
    found = [violation for each in evidence.letters for violation in unexcused(each["database"], each["letter"], shop)]
    return [*found, *missing(evidence, shop)]


def unexcused(database: str, letter: dict, shop: Shop) -> Iterator[Violation]:
    """One letter."""
    id_, reader, reason = letter["aggregate_id"], letter["reader"], letter["reason"]
    where = f"{reader} of {database}"
    if letter.get("record") is not None:
        yield Violation("parked-record", f"{where} has put a record aside: {reason}", id_)
    elif database == "payments" and id_ in shop.payments and shop.is_stuck(shop.payments[id_]):
        if reader == "capture-payment" and shop.may_be_open(shop.payments[id_]):
            yield Violation("failure-untold", f"{where} has given up, and the payment {id_} is still authorised", id_)
    elif id_ not in shop.touched and not (database == "notifications" and id_ in shop.notifications and shop.is_refused(shop.notifications[id_])):
        yield Violation("given-up", f"{where} has given up what nobody refuses for ever: {reason}", id_)


def missing(evidence: Evidence, shop: Shop) -> Iterator[Violation]:
    """What is said to have failed after all its attempts stands in the dead letters, so that a person can try it again."""
    there = {(each["database"], each["letter"]["aggregate_id"]) for each in evidence.letters}
    for id_, payment in shop.payments.items():
        tried = shop.is_stuck(payment) and payment.asked["method"] in UNANSWERED
        if tried and payment.status == "capture-failed" and ("payments", id_) not in there:
            yield Violation("letter-missing", f"the capture of {id_} has failed and stands in no dead letter", id_)
    for id_, notification in shop.notifications.items():
        if shop.is_refused(notification) and notification.status == "failed" and ("notifications", id_) not in there:
            yield Violation("letter-missing", f"the notification {id_} has failed and stands in no dead letter", id_)


def standing_still(evidence: Evidence) -> dict[str, int]:
    """What was refused for ever, how much of it was given up, and how many letters there are."""
    shop = Shop(evidence)
    payments = [payment for payment in shop.payments.values() if shop.is_stuck(payment)]
    mails = [notification for notification in shop.notifications.values() if shop.is_refused(notification)]
    return {
        "payments_refused": len(payments),
        "captures_failed": sum(payment.status == "capture-failed" for payment in payments),
        "mails_refused": len(mails),
        "mails_failed": sum(notification.status == "failed" for notification in mails),
        "dead_letters": len(evidence.letters),
    }
