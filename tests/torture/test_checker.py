"""The checker is tried on made-up shops: a clean one passes, and each kind of harm is seen."""

from __future__ import annotations

import asyncio
import copy
import random
import smtplib
import tempfile
import unittest
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from .checker import report, sagas, several
from .checker.check import check
from .checker.evidence import lines, log_of
from .evidence.growth import Growth
from .nemesis.plan import EMBEDDED_KINDS, HOLDS, KINDS, ONE_BROKER_KINDS, aims, steps
from .settings import Settings
from .synthetic import (
    ADDRESS,
    MOVED,
    OFF,
    PAID,
    PAYMENT,
    PRODUCT,
    REFUSED_USER,
    STUCK,
    STUCK_PAYMENT,
    USER,
    Made,
    fail_capture,
    gbp,
    letter,
    order_of_nobody,
    react,
    refused_recipient,
    reserve,
    shop,
    stuck_order,
    tell,
)
from .workload.ambush import question
from .workload.buyer import Buyer
from .workload.history import ACKED, UNKNOWN, Attempt, History, Operation
from .workload.shop import Asker, Known, Shop
from .workload.stuck import METHODS, UNANSWERED, is_refused
from .world import smtp_sink


class Spoiled(unittest.TestCase):
    """Spoils a clean shop in one way, and expects one kind of violation among those found."""

    def spoil(self, kind: str, harm: Callable[[Made], object], aggregate: str | None = None) -> None:
        made = shop()
        harm(made)
        found = [violation for violation in check(made.evidence()) if violation.kind == kind]
        self.assertTrue(found, f"no {kind} among {[str(violation) for violation in check(made.evidence())]}")
        if aggregate:
            self.assertIn(aggregate, [violation.aggregate for violation in found])
            told = report.in_full(made.evidence(), found)
            self.assertIn("seed 1", told)


def record(made: Made, type_: str, nth: int = 0) -> dict:
    """The nth record of a type."""
    return [each for each in made.records if each["headers"]["ce_type"].endswith("." + type_)][nth]


def booked(made: Made, operation: str) -> dict:
    """The gateway's first entry of an operation."""
    return next(each for each in made.books if each["operation"] == operation)


def operation(made: Made, id_: str):
    """The operation of that name."""
    return next(each for each in made.operations if each.id == id_)


def drop(made: Made, gone: dict) -> None:
    """Takes a record out of its log as if it had never been appended: what came later moves down, and says so."""
    made.records.remove(gone)
    for each in made.records:
        if each["service"] == gone["service"] and each["offset"] > gone["offset"]:
            each["offset"] -= 1
            if "at" in each["headers"]:
                each["headers"]["at"] = str(each["offset"])


class CleanShop(unittest.TestCase):
    """What is right passes."""

    def test_a_clean_shop_passes(self) -> None:
        self.assertEqual(check(shop().evidence()), [])

    def test_a_zombies_late_records_change_nothing(self) -> None:
        made = shop()
        zombie = copy.deepcopy(record(made, "StockReceived"))
        made.claim("products")
        zombie |= {"offset": made.ends["products"], "time": made.clock}
        made.ends["products"] += 1
        made.records.append(zombie)
        self.assertEqual(check(made.evidence()), [])
        late = next(each for each in log_of(made.records).records if each.position == f"products/0/{zombie['offset']}")
        self.assertEqual((late.counts, late.why.split(",")[0]), (False, f"it is of run {zombie['headers']['run']}"))

    def test_an_unknown_operation_may_be_there(self) -> None:
        made = shop()
        made.claim("products")
        made.command("products", PRODUCT, "late", [("StockReceived", {"quantity": 1})], "who-knows", "client/1")
        made.fill_tables()
        self.assertEqual(check(made.evidence()), [])

    def test_a_plan_follows_from_its_seed(self) -> None:
        plan = lambda seed: [step for step, _ in zip(steps(seed, KINDS, False), range(40))]  # noqa: E731
        self.assertEqual(plan(7), plan(7))
        self.assertNotEqual(plan(7), plan(8))
        self.assertEqual({step.kind for step in plan(7)}, set(KINDS))
        self.assertEqual({*KINDS, *EMBEDDED_KINDS, *ONE_BROKER_KINDS}, set(HOLDS))

    def test_a_record_was_appended_between_two_looks_at_the_end_of_its_log(self) -> None:
        growth = Growth()
        for end, asked, told in ((0, 1.0, 1.1), (0, 2.0, 2.1), (3, 3.0, 3.1), (3, 4.0, 4.1), (4, 5.0, 5.1)):
            growth.take(end, asked, told)
        self.assertEqual([growth.around(offset) for offset in (0, 2, 3)], [(2.0, 3.1), (2.0, 3.1), (4.0, 5.1)])
        self.assertEqual(growth.around(4), (5.0, float("inf")), "nobody saw it")
        self.assertEqual(Growth().around(0), (0.0, float("inf")))

    def test_a_split_aims_at_what_the_keeper_of_the_group_leads(self) -> None:
        known = [("orders/0", "node1", "kafka1"), ("users/1", "node2", "kafka3")]
        self.assertEqual(aims(known, "kafka3"), known[1:])
        self.assertEqual(aims(known, "kafka2"), known)
        self.assertEqual(aims(known, None), known)
        self.assertEqual(aims([], "kafka3"), [])

    def test_questions_are_about_the_newest_things_and_half_of_them_about_one_service(self) -> None:
        shop_ = Shop()
        rng = random.Random(5)
        self.assertIsNone(question(Asker("t", 1, rng, shop_), rng, shop_, "users"))
        for number in range(20):
            shop_.users.append(Known(f"user-{number}", 1))
            shop_.orders.append(Known(f"order-{number}", 1))
        asked = [question(Asker("t", 1, rng, shop_), rng, shop_, "users") for _ in range(200)]
        users = [each for each in asked if each and each.service == "users"]
        self.assertTrue(120 <= len(users) <= 180, len(users))
        self.assertEqual({each.aggregate for each in users}, {"user-17", "user-18", "user-19"})
        self.assertEqual({each.service for each in asked if each}, {"users", "orders"})


class Logs(Spoiled):
    """The logs by themselves."""

    def test_a_gap_in_versions(self) -> None:
        self.spoil("version-gap", lambda made: record(made, "StockReserved")["headers"].update(version="9"), PRODUCT)

    def test_a_hole_in_a_log(self) -> None:
        self.spoil("hole-in-log", lambda made: made.records.remove(record(made, "StockReceived")))

    def test_a_command_that_counts_twice(self) -> None:
        def harm(made: Made) -> None:
            made.command("products", PRODUCT, "command-receive", [("StockReceived", {"quantity": 10})], "receive", "client/1")

        self.spoil("doubled-command", harm, PRODUCT)
        self.spoil("doubled-operation", harm, PRODUCT)

    def test_a_group_of_two_commands(self) -> None:
        self.spoil("group-mixed", lambda made: record(made, "OrderReserved")["headers"].update(ce_id="other/2"), PAID)

    def test_more_stock_reserved_than_there_is(self) -> None:
        self.spoil("illegal-event", lambda made: record(made, "StockReserved")["value"].update(quantity=11), PRODUCT)

    def test_stock_reserved_before_the_customer_is_known(self) -> None:
        def harm(made: Made) -> None:
            early = record(made, "OrderAccepted")
            early["headers"]["ce_type"], early["value"] = "daybook.order.OrderLineReserved", {"line": 0, "unit_price": gbp(100)}

        self.spoil("illegal-event", harm, PAID)
        self.spoil("reserved-for-nobody", harm, PAID)

    def test_an_order_that_its_customers_account_refused_and_that_goes_on(self) -> None:
        def harm(made: Made) -> None:
            no = record(made, "CustomerVouched")
            no["headers"]["ce_type"] = "daybook.user.CustomerRefused"
            no["value"]["reason"] = "closed-account"

        self.spoil("illegal-event", harm, USER)
        self.spoil("answered-otherwise", harm, PAID)

    def test_an_order_that_is_off_as_of_nobody_though_its_customer_is_known(self) -> None:
        self.spoil("answered-otherwise", lambda made: record(made, "OrderCancelled")["value"].update(reason="unknown-customer"), OFF)

    def test_an_order_whose_customer_nobody_asked(self) -> None:
        self.spoil("saga-open", lambda made: record(made, "CustomerVouched")["value"].update(order_id="order-9"), PAID)

    def test_an_account_that_answers_twice_for_an_order(self) -> None:
        def harm(made: Made) -> None:
            made.command("users", USER, "again", [("CustomerVouched", {"order_id": PAID})], "x", "reactor/users")

        self.spoil("illegal-event", harm, USER)

    def test_an_order_of_nobody_is_off_and_its_mail_fails(self) -> None:
        made = shop()
        order_of_nobody(made)
        self.assertEqual([str(violation) for violation in check(made.evidence())], [])

    def test_an_order_that_goes_on_after_its_end(self) -> None:
        def harm(made: Made) -> None:
            made.command("orders", OFF, "zombie", [("OrderExpired", {"expired_at": 9})], "x", "reactor/deadline")

        self.spoil("illegal-event", harm, OFF)

    def test_a_record_that_cannot_be_decoded(self) -> None:
        self.spoil("undecodable", lambda made: record(made, "UserRegistered").update(value=None), USER)


class Commands(Spoiled):
    """The operations against the log."""

    def test_a_lost_acknowledged_command(self) -> None:
        self.spoil("lost", lambda made: drop(made, record(made, "StockReceived")), PRODUCT)

    def test_an_acknowledged_command_that_does_not_count(self) -> None:
        self.spoil("lost", lambda made: record(made, "PaymentRefundRequested")["headers"].update(run="77"), PAYMENT)

    def test_an_acknowledged_cancellation_that_left_nothing(self) -> None:
        self.spoil("lost", lambda made: drop(made, record(made, "OrderCancelled")), OFF)

    def test_half_a_group(self) -> None:
        self.spoil("saga-open", lambda made: record(made, "OrderReserved")["headers"].update(at="99"), PAID)

    def test_a_refused_command_that_is_there(self) -> None:
        def harm(made: Made) -> None:
            refund = {"order_id": PAID, "user_id": USER, "refund_id": "r2", "amount": gbp(1)}
            made.command("payments", PAYMENT, "x", [("PaymentRefundRequested", refund)], "too-much", "client/1")

        self.spoil("refused-but-there", harm, PAYMENT)

    def test_a_command_that_is_there_though_each_answer_was_not_done(self) -> None:
        def harm(made: Made) -> None:
            shed = operation(made, "receive")
            shed.outcome, shed.last.status = UNKNOWN, 503

        self.spoil("not-done-but-there", harm, PRODUCT)

    def test_an_answer_that_names_another_place(self) -> None:
        self.spoil("answer-differs", lambda made: setattr(operation(made, "receive").last, "position", "products/0/1"), PRODUCT)

    def test_done_after_it_was_answered(self) -> None:
        def harm(made: Made) -> None:
            made.asked("same-price", "change-price", "products", PRODUCT, [], {"price": gbp(100)})
            made.command("products", PRODUCT, "x", [("PriceChanged", {"price": gbp(101)})], "same-price", "client/1")

        self.spoil("done-after-answer", harm, PRODUCT)

    def test_a_repeat_that_is_done_again(self) -> None:
        def harm(made: Made) -> None:
            made.command("products", PRODUCT, "x", [("StockReceived", {"quantity": 10})], "again", "client/1")

        self.spoil("repeat-done-again", harm, PRODUCT)

    def test_a_record_that_nobody_asked_for(self) -> None:
        def harm(made: Made) -> None:
            made.command("products", PRODUCT, "x", [("StockReceived", {"quantity": 10})], "ghost", "client/1")

        self.spoil("unasked", harm, PRODUCT)

    def test_real_time_order(self) -> None:
        def harm(made: Made) -> None:
            operation(made, "list").last.start = 5000.0
            operation(made, "list").last.end = 5001.0

        self.spoil("real-time-order", harm, PRODUCT)


class Names(Spoiled):
    """What only one may have."""

    def test_two_accounts_with_one_address(self) -> None:
        def harm(made: Made) -> None:
            other = {"email": "A@B.C", "name": "Bob", "address": None, "reserved": None}
            made.asked("register-other", "register-user", "users", "user-9", [("UserRegistered", other)])

        self.spoil("shared", harm, USER)
        self.spoil("unreserved", harm, "user-9")

    def test_two_products_with_one_unit(self) -> None:
        def harm(made: Made) -> None:
            other = {"sku": "s", "name": "Other", "price": gbp(1), "reserved": reserve(made, "unit-9", "sku", "product-9")}
            made.asked("list-other", "list-product", "products", "product-9", [("ProductListed", other)])

        self.spoil("shared", harm)
        self.spoil("two-reservations", harm)

    def test_a_reservation_that_was_made_for_another(self) -> None:
        def harm(made: Made) -> None:
            record(made, "UserRegistered", 1)["value"]["reserved"] = {"reservation_id": ADDRESS, "number": 1}

        self.spoil("unreserved", harm, MOVED)
        self.spoil("two-texts", harm)

    def test_a_reservation_that_was_given_to_two(self) -> None:
        self.spoil("illegal-event", lambda made: reserve(made, ADDRESS, "email", "user-9"), ADDRESS)

    def test_a_reservation_that_ended_while_it_was_used(self) -> None:
        def harm(made: Made) -> None:
            event = {"holder": USER, "number": 1}
            made.command("reservations", ADDRESS, "end", [("ReservationEnded", event)], "x", "system/reservations")

        self.spoil("ended-in-use", harm, ADDRESS)

    def test_a_reservation_that_ended_a_moment_before_it_was_left(self) -> None:
        def harm(made: Made) -> None:
            record(made, "ReservationEnded", 1)["time"] = record(made, "UserProfileChanged")["time"] - 0.05

        self.spoil("ended-in-use", harm, "address-3")

    def test_an_address_that_was_taken_up_again_under_its_old_number(self) -> None:
        def harm(made: Made) -> None:
            vain = record(made, "UserEmailForgone")["value"]["reserved"]
            record(made, "UserProfileChanged")["value"]["reserved"] = vain

        self.spoil("used-forgone", harm, MOVED)

    def test_a_refusal_of_what_nobody_has(self) -> None:
        harm = lambda made: made.refused("x", "register-user", "users", "?", "email-taken", {"email": "nobody@b.c"})  # noqa: E731
        self.spoil("wrong-refusal", harm)

    def test_a_refusal_of_what_was_left_before(self) -> None:
        harm = lambda made: made.refused("x", "register-user", "users", "?", "email-taken", {"email": "two@b.c"})  # noqa: E731
        self.spoil("wrong-refusal", harm)


class Refusals(Spoiled):
    """What was said and never was so."""

    def test_refused_from_the_past(self) -> None:
        self.spoil(
            "wrong-refusal", lambda made: made.refused("x", "cancel-order", "orders", PAID, "unknown-order", status=404), PAID
        )

    def test_refused_for_a_rule_that_was_kept(self) -> None:
        harm = lambda made: made.refused("x", "refund", "payments", PAYMENT, "refund-exceeds-captured", {"amount": gbp(150)})  # noqa: E731
        self.spoil("wrong-refusal", harm, PAYMENT)

    def test_a_conflict_that_was_none(self) -> None:
        def harm(made: Made) -> None:
            seen = made.versions[PRODUCT]
            made.refused("x", "change-price", "products", PRODUCT, "version-conflict", status=412, if_match=seen)

        self.spoil("wrong-refusal", harm, PRODUCT)

    def test_refused_before_it_was_so(self) -> None:
        def harm(made: Made) -> None:
            late = operation(made, "too-late").last
            confirmed = record(made, "OrderConfirmed")["time"]
            late.start, late.end = confirmed - 0.3, confirmed - 0.2

        self.spoil("wrong-refusal", harm, PAID)

    def test_refused_before_it_can_have_been_so_where_only_growth_was_watched(self) -> None:
        def harm(made: Made) -> None:
            for each in made.records:
                each |= {"time": each["time"] - 0.04, "by": each["time"] + 0.04}
            late = operation(made, "too-late").last
            confirmed = record(made, "OrderConfirmed")["time"]
            late.start, late.end = confirmed - 0.3, confirmed - 0.2

        self.spoil("wrong-refusal", harm, PAID)

    def test_an_unknown_reason(self) -> None:
        self.spoil("wrong-refusal", lambda made: made.refused("x", "cancel-order", "orders", PAID, "no-idea"), PAID)


class Outcomes(Spoiled):
    """Sagas, money, stock, mail, views, reads."""

    def test_a_saga_that_has_not_ended(self) -> None:
        self.spoil("saga-open", lambda made: drop(made, record(made, "OrderConfirmed")), PAID)

    def test_stock_that_stays_reserved(self) -> None:
        self.spoil("saga-open", lambda made: drop(made, record(made, "StockReleased")), PRODUCT)

    def test_a_confirmed_order_whose_payment_was_declined(self) -> None:
        def harm(made: Made) -> None:
            declined = record(made, "PaymentAuthorised")
            declined["headers"]["ce_type"] = "daybook.payment.PaymentDeclined"
            declined["value"]["reason"] = "no funds"
            drop(made, record(made, "PaymentCaptured"))

        self.spoil("confirmed-unpaid", harm, PAID)

    def test_a_double_capture(self) -> None:
        capture = {"payment": PAYMENT, "operation": "capture", "amount": 200, "note": ""}
        self.spoil("doubled-at-gateway", lambda made: made.books.append(capture), PAYMENT)

    def test_a_double_refund(self) -> None:
        refund = {"payment": PAYMENT, "operation": "refund", "amount": 50, "note": "r1"}
        self.spoil("doubled-at-gateway", lambda made: made.books.append(refund), PAYMENT)

    def test_a_refund_that_only_the_gateway_knows(self) -> None:
        refund = {"payment": PAYMENT, "operation": "refund", "amount": 10, "note": "r9"}
        self.spoil("gateway-differs", lambda made: made.books.append(refund), PAYMENT)

    def test_a_capture_that_the_gateway_never_made(self) -> None:
        self.spoil("gateway-differs", lambda made: made.books.remove(booked(made, "capture")), PAYMENT)

    def test_a_refund_that_waits_for_the_gateway(self) -> None:
        self.spoil("saga-open", lambda made: drop(made, record(made, "PaymentRefundSettled")), PAYMENT)

    def test_a_refund_that_was_given_up(self) -> None:
        def harm(made: Made) -> None:
            failed = record(made, "PaymentRefundSettled")
            failed["headers"]["ce_type"] = "daybook.payment.PaymentRefundFailed"
            failed["value"]["reason"] = "the gateway is away"

        self.spoil("given-up", harm, PAYMENT)

    def test_a_refund_of_more_than_is_left_beside_what_is_reserved(self) -> None:
        def harm(made: Made) -> None:
            for name, amount in (("r2", 100), ("r3", 51)):
                refund = {"order_id": PAID, "user_id": USER, "refund_id": name, "amount": gbp(amount)}
                made.asked(f"refund-{name}", "refund", "payments", PAYMENT, [("PaymentRefundRequested", refund)])

        self.spoil("illegal-event", harm, PAYMENT)

    def test_a_refund_that_is_settled_twice_or_never_asked_for(self) -> None:
        def settle(refund: str, in_all: int) -> Callable[[Made], None]:
            settled = {"order_id": PAID, "user_id": USER, "refund_id": refund, "amount": gbp(50), "refunded": gbp(in_all)}
            return lambda made: react(made, "payments", PAYMENT, [("PaymentRefundSettled", settled)], PAID)

        self.spoil("illegal-event", settle("r1", 50), PAYMENT)
        self.spoil("illegal-event", settle("r9", 100), PAYMENT)

    def test_the_same_of_an_orders_money_told_more_often_than_it_happened(self) -> None:
        def harm(made: Made) -> None:
            # It was requested and settled: of each there may be a mail.
            tell(made, "mail-4", PAID, "refund-requested")
            tell(made, "mail-5", PAID, "refund-settled")

        self.spoil("told-otherwise", harm, PAID)

    def test_a_mail_under_two_names(self) -> None:
        twice = {"node": "node2", "file": "mail-1", "size": 9, "body": "b", "id": "<other@daybook>"}
        self.spoil("mail-twice", lambda made: made.mails.append(twice))

    def test_a_delivered_mail_that_is_torn(self) -> None:
        self.spoil("mail-missing", lambda made: made.mails[0].update(body=""))

    def test_a_mail_that_nobody_asked_for(self) -> None:
        self.spoil("mail-unasked", lambda made: made.mails[0].update(file="mail-9"))

    def test_a_mail_that_is_given_up_though_there_is_an_address(self) -> None:
        def harm(made: Made) -> None:
            failed = record(made, "NotificationDelivered")
            failed["headers"]["ce_type"] = "daybook.notification.NotificationFailed"
            failed["value"]["reason"] = "no address is known"

        self.spoil("mail-given-up", harm, "mail-1")

    def test_a_view_row_that_differs(self) -> None:
        self.spoil("view-differs", lambda made: made.tables["products.products"][0].update(on_hand=9), PRODUCT)

    def test_a_view_row_that_is_missing(self) -> None:
        self.spoil("view-differs", lambda made: made.tables["orders.orders"].pop(0), PAID)

    def test_a_view_row_too_many(self) -> None:
        self.spoil("view-differs", lambda made: made.tables["orders.deadlines"].append({"order_id": PAID, "due_at": 1}), PAID)

    def test_an_event_that_the_audit_lacks(self) -> None:
        self.spoil("view-differs", lambda made: made.tables["audit.audit"].pop())

    def test_a_read_from_the_past(self) -> None:
        self.spoil("stale-read", lambda made: setattr(made.reads[0], "version", 3), PAID)

    def test_somebody_who_waits_though_nothing_stands_in_the_way(self) -> None:
        def waits(faults: list[tuple[str, float, float]]) -> list[str]:
            made = shop()
            asked = made.unanswered("nobody", "register-user", "users", None)
            asked.last.start, asked.last.end = 2000.0, 2060.0
            found = made.evidence()
            found.faults += [{"kind": kind, "start": start, "end": end, "did": []} for kind, start, end in faults]
            return [violation.kind for violation in check(found)]

        self.assertEqual(waits([("network-split", 1990.0, 2048.0)]), [])
        self.assertEqual(waits([("network-split", 1990.0, 2030.0)]), ["unserved"])
        self.assertEqual(waits([("network-split", 1990.0, 2030.0), ("postgres-kill", 2041.0, 2050.0)]), ["unserved"])
        self.assertEqual(waits([("network-split", 1990.0, 2030.0), ("node-kill", 2043.0, 2055.0)]), [])
        self.assertEqual(waits([("node-kill", 2006.0, 2055.0)]), ["unserved"])

    def test_a_system_that_does_not_come_to_rest(self) -> None:
        self.spoil("not-quiet", lambda made: made.run.update(not_quiet=["orders:orders stands at 3"]))


class RefusedForEver(Spoiled):
    """What the gateway or the mail server refuses for ever may stand still, and nothing else."""

    def stands(self, arrange: Callable[[Made], object]) -> list[str]:
        made = shop()
        arrange(made)
        made.fill_tables()
        return [str(violation) for violation in check(made.evidence())]

    def test_a_stuck_payment_may_be_tried_on_or_given_up(self) -> None:
        for method in METHODS:
            self.assertEqual(self.stands(lambda made, method=method: stuck_order(made, method)), [])
            self.assertEqual(self.stands(lambda made, method=method: stuck_order(made, method, given_up=False)), [])

    def test_a_refused_mail_may_be_tried_on_or_given_up(self) -> None:
        self.assertEqual(self.stands(refused_recipient), [])
        self.assertEqual(self.stands(lambda made: refused_recipient(made, given_up=False)), [])

    def test_what_is_still_tried_is_waited_for(self) -> None:
        made = shop()
        stuck_order(made, given_up=False)
        refused_recipient(made, given_up=False)
        self.assertEqual(len(sagas.tried_on(made.evidence())), 2)
        given_up = shop()
        stuck_order(given_up)
        refused_recipient(given_up)
        self.assertEqual(sagas.tried_on(given_up.evidence()), [])
        untold = shop()
        refused_recipient(untold, given_up=False)
        letter(untold, "notifications", "deliver", "mail-refused")
        self.assertEqual(sagas.tried_on(untold.evidence()), [], "it stands in the dead letters, and the log says nothing of it")

    def test_a_stuck_payment_that_its_order_voids_keeps_its_hold_at_the_gateway(self) -> None:
        def void(made: Made, method: str) -> None:
            record(made, "OrderPlaced", 1)["value"]["payment_method"] = method
            asked = {"order_id": OFF, "user_id": USER, "amount": gbp(200), "method": method}
            react(made, "payments", "payment-off", [("PaymentRequested", asked)], OFF)
            react(made, "payments", "payment-off", [("PaymentAuthorised", {"order_id": OFF, "reference": "r"})], OFF)
            react(made, "payments", "payment-off", [("PaymentVoided", {"order_id": OFF, "reason": "x", "amount": gbp(200)})], OFF)
            made.books.append({"payment": "payment-off", "operation": "authorise", "amount": 200, "note": method})
            letter(made, "payments", "void-hold", "payment-off")

        self.assertEqual(self.stands(lambda made: void(made, "card-stuck-404")), [])
        self.spoil("gateway-differs", lambda made: void(made, "card"), "payment-off")
        self.spoil("given-up", lambda made: void(made, "card"), "payment-off")

    def test_another_payment_that_is_not_captured(self) -> None:
        def arrange(made: Made, given_up: bool) -> None:
            stuck_order(made, "card", given_up)

        self.spoil("saga-open", lambda made: arrange(made, False), STUCK)
        self.spoil("confirmed-unpaid", lambda made: arrange(made, True), STUCK)
        self.spoil("given-up", lambda made: arrange(made, True), STUCK_PAYMENT)

    def test_a_payment_that_only_its_own_log_calls_stuck(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made, given_up=False)
            next(each for each in made.records if each["key"] == STUCK)["value"]["payment_method"] = "card"

        self.spoil("saga-open", harm, STUCK)

    def test_a_stuck_payment_whose_order_waits_for_it(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made, given_up=False)
            confirmed = next(
                each for each in made.records if each["key"] == STUCK and each["headers"]["ce_type"].endswith("Confirmed")
            )
            drop(made, confirmed)

        self.spoil("saga-open", harm, STUCK)
        self.spoil("saga-open", harm, STUCK_PAYMENT)

    def test_a_stuck_payment_that_is_captured(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made, given_up=False)
            react(made, "payments", STUCK_PAYMENT, [("PaymentCaptured", {"order_id": STUCK, "amount": gbp(200)})], STUCK)

        self.spoil("done-though-refused", harm, STUCK)
        self.spoil("gateway-differs", harm, STUCK_PAYMENT)

    def test_a_customer_who_is_not_told_of_an_order_whose_payment_is_stuck(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made)
            drop(made, next(each for each in made.records if each["key"] == "mail-stuck" and "body" not in each["value"]))

        self.spoil("saga-open", harm, "mail-stuck")

    def test_a_capture_that_is_given_up_unsaid(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made, given_up=False)
            letter(made, "payments", "capture-payment", STUCK_PAYMENT)

        self.spoil("failure-untold", harm, STUCK_PAYMENT)

    def test_what_failed_and_stands_in_no_dead_letter(self) -> None:
        def lost(arrange: Callable[[Made], object]) -> Callable[[Made], None]:
            def harm(made: Made) -> None:
                arrange(made)
                made.letters.clear()

            return harm

        for method in METHODS:
            if method in UNANSWERED:
                self.spoil("letter-missing", lost(lambda made, method=method: stuck_order(made, method)), STUCK_PAYMENT)
            else:
                self.assertEqual(self.stands(lost(lambda made, method=method: stuck_order(made, method))), [])
        self.spoil("letter-missing", lost(refused_recipient), "mail-refused")

    def test_a_capture_that_fails_twice(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made)
            fail_capture(made, STUCK, STUCK_PAYMENT)

        self.spoil("illegal-event", harm, STUCK_PAYMENT)

    def test_letters_that_nobody_refuses(self) -> None:
        self.spoil("given-up", lambda made: letter(made, "payments", "capture-payment", PAYMENT), PAYMENT)
        self.spoil("given-up", lambda made: letter(made, "notifications", "deliver", "mail-1"), "mail-1")
        self.spoil("given-up", lambda made: letter(made, "orders", "confirm-order", PAID), PAID)

        def elsewhere(made: Made) -> None:
            stuck_order(made)
            letter(made, "orders", "confirm-order", STUCK_PAYMENT)

        self.spoil("given-up", elsewhere, STUCK_PAYMENT)

    def test_a_record_that_was_put_aside(self) -> None:
        def harm(made: Made) -> None:
            stuck_order(made)
            letter(made, "payments", "payments", STUCK_PAYMENT, {"payload": "00"})

        self.spoil("parked-record", harm, STUCK_PAYMENT)

    def test_a_refused_mail_that_is_delivered(self) -> None:
        def harm(made: Made) -> None:
            refused_recipient(made, given_up=False)
            react(made, "notifications", "mail-refused", [("NotificationDelivered", {"user_id": REFUSED_USER})], PAID)

        self.spoil("done-though-refused", harm, "mail-refused")
        self.spoil("mail-missing", harm, "mail-refused")

    def test_a_mail_of_a_user_who_has_had_another_address(self) -> None:
        def harm(made: Made, given_up: bool) -> None:
            refused_recipient(made, given_up)
            changed = {"email": "bob@example.com", "name": None, "address": None}
            made.asked("change", "change-profile", "users", REFUSED_USER, [("UserProfileChanged", changed)])

        self.spoil("saga-open", lambda made: harm(made, False), "mail-refused")
        self.spoil("mail-given-up", lambda made: harm(made, True), "mail-refused")
        self.spoil("given-up", lambda made: harm(made, True), "mail-refused")

    def test_mails_that_go_out_more_often_than_was_in_flight(self) -> None:
        def sent(times: int, *faults: str, server: bool = True) -> list[str]:
            made = shop()
            made.mails += [made.mails[0]] * times
            made.run["mail_server"] = server
            made.faults = [{"kind": kind, "start": 1.0, "end": 2.0, "did": []} for kind in faults]
            self.assertEqual(report.summary(made.evidence(), [])["mails_sent_again"], times)
            return [violation.kind for violation in check(made.evidence())]

        self.assertEqual(sent(1), ["mail-repeated"])
        self.assertEqual(sent(1, "gateway-refuses-one", "recipient-refuses"), ["mail-repeated"])
        self.assertEqual(sent(64, "node-kill"), [])
        self.assertEqual(sent(65, "node-kill"), ["mail-repeated"])
        self.assertEqual(sent(65, "node-kill", "network-cut"), [])
        self.assertEqual(sent(65, server=False), [])

    def test_what_stands_still_is_told(self) -> None:
        made = shop()
        stuck_order(made)
        refused_recipient(made, given_up=False)
        told = report.summary(made.evidence(), [])
        self.assertEqual((told["payments_refused"], told["captures_failed"]), (1, 1))
        self.assertEqual((told["mails_refused"], told["mails_failed"], told["dead_letters"]), (1, 0, 1))
        self.assertIn(
            "refused for ever: 1 payments (1 captures given up), 1 mails (0 given up); 1 dead letters", report.table(told)
        )


class Buying(unittest.TestCase):
    """The customers of the faults that refuse for ever."""

    def test_a_buyer_uses_a_customer_and_a_product_that_nobody_else_knows(self) -> None:
        shop_, done = Shop(), []
        with tempfile.TemporaryDirectory() as folder:
            history = History(Path(folder))
            settings = Settings(1, Path(folder), Path("daybook"))
            buyer = Buyer(settings, 3, "card-stuck-404", "refused.{}@example.com", 2, shop_, history)
            buyer.caller.run = lambda asked: done.append(self.acknowledged(asked, len(done))) or asked  # type: ignore[method-assign]
            buyer.run()
            history.close()
            written = lines(Path(folder) / "operations.jsonl")
        self.assertEqual(
            [each.kind for each in done], ["register-user", "list-product", "receive-stock", "place-order", "place-order"]
        )
        self.assertEqual(len({each.id for each in done}), 5)
        self.assertEqual([each["id"] for each in written], [each.id for each in done])
        self.assertTrue(is_refused(done[0].body["email"]))
        wanted = {
            "user_id": "made-0",
            "lines": [{"product_id": "made-1", "quantity": 1}],
            "payment": {"method": "card-stuck-404"},
        }
        self.assertEqual([each.body for each in done[3:]], [wanted, wanted])
        self.assertEqual(([*shop_.users], [*shop_.products]), ([], []))
        self.assertEqual([each.id for each in shop_.orders], ["made-3", "made-4"])

    @staticmethod
    def acknowledged(asked: Operation, number: int) -> Operation:
        """The operation, as if a node had done it."""
        asked.attempts.append(Attempt("node1", 1.0, 2.0, 201, version=1, aggregate=asked.aggregate or f"made-{number}"))
        asked.outcome = ACKED
        return asked


class MailServer(unittest.TestCase):
    """The mail server of the suite, spoken to by another's client."""

    def test_it_writes_down_what_it_takes_and_refuses_one_recipient(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "mail.jsonl"
            refused = asyncio.run(self.talk(file))
            taken = lines(file)
        self.assertEqual(refused, {"refused.bob@example.com": (451, b"not this recipient, not now")})
        self.assertEqual([each.get("refused") for each in taken], [None, "refused.bob@example.com", None])
        self.assertEqual((taken[0]["to"], taken[0]["peer"]), (["ada@example.com"], "127.0.0.1"))
        self.assertIn("Message-ID: <one@daybook>", taken[0]["message"])
        self.assertIn("\n.a line that begins with a dot\r\n", taken[0]["message"])

    async def talk(self, file: Path) -> dict:
        """One mail, one that is refused, one again; answers what was refused."""
        sink = smtp_sink.Sink(file, "refused.")
        server = await smtp_sink.serve("127.0.0.1", 0, sink)
        port = server.sockets[0].getsockname()[1]

        def send() -> dict:
            refused: dict = {}
            with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
                for to in ("ada@example.com", "refused.bob@example.com", "ada@example.com"):
                    try:
                        client.send_message(self.message(to))
                    except smtplib.SMTPRecipientsRefused as error:
                        refused |= error.recipients
            return refused

        async with server:
            refused = await asyncio.to_thread(send)
        sink.close()
        return refused

    @staticmethod
    def message(to: str) -> EmailMessage:
        """A message."""
        message = EmailMessage()
        message["Message-ID"], message["From"], message["To"], message["Subject"] = "<one@daybook>", "shop@example.com", to, "s"
        message.set_content("Your order is paid (\u00a32.00).\n.a line that begins with a dot\n")
        return message


class Told(unittest.TestCase):
    """What a run is told as, and several runs as one."""

    def run_of(self, seed: int, *faults: tuple[str, float, float]) -> dict:
        """The summary of a shop in which an acknowledgement was waited for as long as the faults lasted."""
        made = shop()
        made.run["seed"] = seed
        found = made.evidence()
        for kind, start, end in faults:
            asked = made.asked(f"{kind}-{start}", "receive-stock", "products", PRODUCT, [("StockReceived", {"quantity": 1})])
            asked.last.start, asked.last.end = start, end
            found.faults.append({"kind": kind, "start": start, "end": end, "did": ["something"]})
        return report.summary(found, [])

    def test_faults_are_told_one_by_one_and_by_kind(self) -> None:
        told = self.run_of(1, ("node-kill", 2000.0, 2003.0), ("node-kill", 2100.0, 2101.0), ("broker-kill", 2200.0, 2208.0))
        singly = [(fault["kind"], fault["partition"]) for fault in told["each_fault"]]
        self.assertEqual(singly, [("node-kill", 3.0), ("node-kill", 1.0), ("broker-kill", 8.0)])
        self.assertEqual((told["faults"]["node-kill"]["faults"], told["faults"]["node-kill"]["partition"]), (2, 3.0))
        self.assertIn("node-kill", report.table(told))

    def test_several_runs_are_told_as_one(self) -> None:
        one = self.run_of(1, ("node-kill", 2000.0, 2003.0), ("broker-kill", 2200.0, 2208.0))
        other = {**self.run_of(2, ("node-kill", 2100.0, 2101.0)), "violations": {"lost": 2}}
        told = several.together([one, other])
        self.assertEqual((told["seeds"], told["operations"]), ([1, 2], one["operations"] + other["operations"]))
        self.assertEqual(told["violations"], {"lost": 2})
        kill, every = told["faults"]["node-kill"], told["faults"]["all"]
        self.assertEqual((kill["faults"], kill["half"], kill["most"], kill["partition"]), (2, 1.0, 3.0, 3.0))
        self.assertEqual((every["faults"], every["half"], every["most"], every["partition"]), (3, 3.0, 8.0, 8.0))
        table = several.table(told)
        self.assertIn("violations: 2\n  lost: 2", table)
        self.assertIn("2 runs, seeds 1, 2", table)

    def test_a_summary_without_its_single_faults_leaves_the_maximum(self) -> None:
        old = self.run_of(1, ("node-kill", 2000.0, 2003.0))
        del old["each_fault"]
        kill = several.together([old])["faults"]["node-kill"]
        self.assertEqual((kill["half"], kill["most"], kill["partition"]), (None, None, 3.0))
        self.assertIn("-", several.table(several.together([old])))

    def test_percentiles_are_values_that_were_seen(self) -> None:
        values = [float(value) for value in range(1, 101)]
        random.Random(3).shuffle(values)
        self.assertEqual([several.percentile(values, part) for part in (0.5, 0.99, 1.0)], [50.0, 99.0, 100.0])
        self.assertEqual([several.percentile([7.0], part) for part in (0.5, 0.99)], [7.0, 7.0])


if __name__ == "__main__":
    unittest.main()
