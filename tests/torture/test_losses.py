"""What a log that lost its last records excuses, and that it excuses nothing else."""

from __future__ import annotations

import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

from .checker import reads, report
from .checker.check import check
from .synthetic import OFF, PAYMENT, PRODUCT, Made, confirmed_order, gbp, react, reserve, shop, tell
from .workload.history import Operation, Read
from .world import segments

THIRD, THIRD_PAYMENT = "order-3", "payment-3"


def kinds(made: Made) -> list[str]:
    """What is found."""
    return [violation.kind for violation in check(made.evidence())]


def received(made: Made, id_: str = "more") -> Operation:
    """Pieces come, acknowledged."""
    return made.asked(id_, "receive-stock", "products", PRODUCT, [("StockReceived", {"quantity": 5})], {"quantity": 5})


def offset(operation: Operation) -> int:
    """Where it was acknowledged."""
    return int((operation.last.position or "").rsplit("/", 1)[1])


def repeated(made: Made, first: Operation, id_: str, answer: Operation | None = None) -> Operation:
    """The same once more, under its key: done again, or answered as another one was."""
    if answer is None:
        return made.asked(id_, "repeat", first.service, first.aggregate, [("StockReceived", {"quantity": 5})], first.body, again=first.id)
    again = made.asked(id_, "repeat", first.service, first.aggregate, [], first.body, again=first.id)
    again.last.version, again.last.position, again.last.replayed = answer.last.version, answer.last.position, True
    return again


def keyed(made: Made) -> None:
    """Repeats have the key of what they repeat."""
    for operation in made.operations:
        operation.key = operation.again or operation.key


class Commands(unittest.TestCase):
    """What clients were told."""

    def made(self, harm: Callable[[Made, Operation], object]) -> list[str]:
        made = shop()
        first = received(made)
        made.lose("products", offset(first))
        harm(made, first)
        keyed(made)
        made.fill_tables()
        return kinds(made)

    def test_what_was_acknowledged_and_lost_is_excused(self) -> None:
        self.assertEqual(self.made(lambda made, first: None), [])

    def test_what_was_acknowledged_elsewhere_is_not(self) -> None:
        self.assertEqual(self.made(lambda made, first: setattr(first.last, "position", "products/0/4")), ["lost"])

    def test_a_history_shows_what_was_lost(self) -> None:
        made = shop()
        first = received(made)
        made.lose("products", offset(first))
        told = report.history(made.evidence(), PRODUCT)
        self.assertRegex(told, rf"{first.last.position} StockReceived .* LOST at ")
        self.assertEqual(report.summary(made.evidence(), [])["events_lost"], 1)

    def test_what_was_acknowledged_after_the_loss_is_not(self) -> None:
        def harm(made: Made, _: Operation) -> None:
            later = received(made, "later")
            made.records = [each for each in made.records if each["offset"] != offset(later) or each["service"] != "products"]

        self.assertEqual(self.made(harm), ["lost"])

    def test_who_asks_again_has_it_done_again_and_then_gets_that_answer(self) -> None:
        def harm(made: Made, first: Operation) -> None:
            second = repeated(made, first, "again-1")
            repeated(made, first, "again-2", second)

        self.assertEqual(self.made(harm), [])

    def test_it_is_done_again_only_once(self) -> None:
        def harm(made: Made, first: Operation) -> None:
            for id_ in ("again-1", "again-2"):
                repeated(made, first, id_)
            for each in made.records[-2:]:
                each["headers"]["ce_id"] = "one-command/1"

        self.assertEqual(self.made(harm), ["doubled-command"])

    def test_nobody_is_answered_from_what_was_lost_before_he_asked(self) -> None:
        self.assertEqual(self.made(lambda made, first: repeated(made, first, "again-1", first)), ["rests-on-lost"])

    def test_who_asked_before_may_be(self) -> None:
        def harm(made: Made, first: Operation) -> None:
            repeated(made, first, "again-1", first).last.start = made.losses[0]["back"] - 0.1

        self.assertEqual(self.made(harm), [])

    def test_another_command_may_come_under_a_key_whose_command_was_lost_and_under_no_other(self) -> None:
        def reuse(of: str) -> Callable[[Made, Operation], object]:
            def harm(made: Made, _: Operation) -> None:
                made.asked("other", "reuse-key", "products", PRODUCT, [("StockReceived", {"quantity": 6})], {"quantity": 6}, again=of)
                made.refused("again-1", "repeat", "products", PRODUCT, "idempotency-key-reused", {"quantity": 5}, again=of)

            return harm

        self.assertEqual(self.made(reuse("more")), [])
        self.assertEqual(self.made(reuse("receive")), ["reused-key-accepted"])

    def test_a_version_that_continues_what_was_lost(self) -> None:
        def harm(made: Made, _: Operation) -> None:
            made.versions[PRODUCT] += 1
            received(made, "later")

        self.assertEqual(self.made(harm), ["version-gap"])

    def test_what_was_lost_is_judged_too(self) -> None:
        def harm(made: Made, first: Operation) -> None:
            made.losses[0]["records"][0]["headers"]["version"] = "77"
            first.last.version = 77

        self.assertEqual(self.made(harm), ["version-gap"])

    def test_a_log_that_lost_something_twice(self) -> None:
        def harm(made: Made, first: Operation) -> None:
            second = received(made, "second")
            third = received(made, "third")
            made.lose("products", offset(third))
            self.assertNotEqual(offset(first), offset(third))
            self.assertEqual(second.last.version, first.last.version)

        self.assertEqual(self.made(harm), [])

    def test_a_view_that_shows_what_was_lost(self) -> None:
        made = shop()
        first = received(made)
        made.fill_tables()
        made.lose("products", offset(first))
        self.assertEqual(set(kinds(made)), {"view-differs"})


class Refusals(unittest.TestCase):
    """A refusal may rest on what was lost until it was lost, and on what came in its place only afterwards."""

    def refused(self, at: Callable[[Made], float], code: str = "withdrawn-product") -> list[str]:
        made = shop()
        gone = made.asked("withdraw", "withdraw-product", "products", PRODUCT, [("ProductWithdrawn", {})])
        before = made.clock + 0.05
        made.clock += 1.0
        made.lose("products", offset(gone))
        made.clock += 0.1
        made.refused("x", "receive-stock", "products", PRODUCT, code, {"quantity": 1})
        attempt = made.operations[-1].last
        attempt.start = at(made) or before
        attempt.end = attempt.start + 0.01
        made.fill_tables()
        return kinds(made)

    def test_before_it_was_lost(self) -> None:
        self.assertEqual(self.refused(lambda made: 0.0), [])

    def test_while_nothing_answered(self) -> None:
        self.assertEqual(self.refused(lambda made: made.losses[0]["back"] - 0.1), [])

    def test_afterwards(self) -> None:
        self.assertEqual(self.refused(lambda made: made.losses[0]["back"] + 0.1), ["wrong-refusal"])

    def test_nobody_is_refused_as_of_what_came_in_its_place_before_it_came(self) -> None:
        made = shop()
        first = received(made)
        made.clock += 0.1
        seen = made.versions[PRODUCT]
        made.refused("x", "change-price", "products", PRODUCT, "version-conflict", status=412, if_match=seen)
        made.clock += 1.0
        made.lose("products", offset(first))
        made.fill_tables()
        self.assertEqual(kinds(made), ["wrong-refusal"], "when it was refused, the version was the one that was seen")
        made.operations[-1].last.start = made.operations[-1].last.end = made.losses[0]["back"] + 0.1
        self.assertEqual(kinds(made), [], "afterwards it was not")

    def test_an_acknowledgement_that_found_nothing_to_do_in_what_was_lost(self) -> None:
        made = shop()
        gone = made.asked("withdraw", "withdraw-product", "products", PRODUCT, [("ProductWithdrawn", {})])
        made.clock += 1.0
        made.lose("products", offset(gone))
        made.asked("withdraw-again", "withdraw-product", "products", PRODUCT, []).last.version = gone.last.version
        made.fill_tables()
        self.assertEqual(kinds(made), ["lost"])


class Outcomes(unittest.TestCase):
    """What concerns several logs."""

    def half_forgotten(self, service: str, type_: str) -> Made:
        """A third order of which one log loses this event, and all that came after it."""
        made = shop()
        confirmed_order(made, THIRD, THIRD_PAYMENT)
        react(made, "payments", THIRD_PAYMENT, [("PaymentCaptured", {"order_id": THIRD, "amount": gbp(200)})], THIRD)
        tell(made, "mail-third", THIRD, "order-confirmed")
        made.books.append({"payment": THIRD_PAYMENT, "operation": "capture", "amount": 200, "note": ""})
        its = (THIRD, THIRD_PAYMENT, PRODUCT, "mail-third")
        gone = [each for each in made.records if each["headers"]["ce_type"].endswith("." + type_) and each["key"] in its][-1]
        made.lose(service, gone["offset"])
        made.fill_tables()
        return made

    def test_an_order_of_which_a_log_has_lost_a_part_need_not_end(self) -> None:
        for service, type_ in (
            ("orders", "OrderConfirmed"),
            ("orders", "OrderPlaced"),
            ("payments", "PaymentRequested"),
            ("payments", "PaymentCaptured"),
            ("products", "StockShipped"),
            ("notifications", "NotificationRequested"),
            ("notifications", "NotificationDelivered"),
        ):
            with self.subTest(type_):
                self.assertEqual(kinds(self.half_forgotten(service, type_)), [])

    def test_another_order_must(self) -> None:
        made = self.half_forgotten("orders", "OrderConfirmed")
        made.claim("products")
        made.command("products", PRODUCT, "left", [("StockReserved", {"order_id": OFF, "line": 5, "quantity": 1, "unit_price": gbp(100)})], "x", "reactor/x")
        made.books.append({"payment": PAYMENT, "operation": "capture", "amount": 200, "note": ""})
        made.mails.append({"node": "node1", "file": "mail-unheard", "size": 9, "body": "b", "id": "<mail-unheard@daybook>", "to": "", "subject": ""})
        made.letters.append({"database": "payments", "letter": {"aggregate_id": PAYMENT, "reader": "void", "reason": "because"}})
        made.fill_tables()
        self.assertEqual(set(kinds(made)), {"saga-open", "doubled-at-gateway", "mail-unasked", "given-up"})

    def test_an_order_may_hear_from_another_log_what_its_own_has_lost_and_no_other_order_may(self) -> None:
        def reserved_early(order: str) -> list[str]:
            made = self.half_forgotten("orders", "OrderAccepted")
            react(made, "orders", order, [("OrderLineReserved", {"line": 0, "unit_price": gbp(100)})], order)
            made.fill_tables()
            return kinds(made)

        self.assertEqual(reserved_early(THIRD), [])
        self.assertIn("illegal-event", reserved_early(OFF))

    def test_a_letter_about_what_is_half_forgotten_is_no_fault(self) -> None:
        made = self.half_forgotten("payments", "PaymentRequested")
        made.letters.append({"database": "payments", "letter": {"aggregate_id": THIRD_PAYMENT, "reader": "void", "reason": "because"}})
        self.assertEqual(kinds(made), [])

    def test_a_name_whose_reservation_was_lost_may_be_given_twice_and_no_other(self) -> None:
        made = shop()
        reserved = reserve(made, "address-9", "email", "user-9")
        event = {"email": "nine@b.c", "name": "Nina", "address": None, "reserved": reserved}
        made.asked("register-nine", "register-user", "users", "user-9", [("UserRegistered", event)])
        made.lose("reservations", made.records[-2]["offset"])
        event = {**event, "reserved": reserve(made, "address-9", "email", "user-10")}
        made.asked("register-ten", "register-user", "users", "user-10", [("UserRegistered", event)])
        made.fill_tables()
        self.assertEqual(kinds(made), [])
        other = {"email": "A@B.C", "name": "Bob", "address": None, "reserved": reserve(made, "address-11", "email", "user-11")}
        made.asked("register-other", "register-user", "users", "user-11", [("UserRegistered", other)])
        made.fill_tables()
        self.assertEqual(set(kinds(made)), {"shared", "two-reservations"})


class Reads(unittest.TestCase):
    """What is shown."""

    def read(self, position: int, after: float, status: int = 200, version: int = 0) -> list[str]:
        """A read so many seconds after the broker is back, at least at a position of which the first that was lost is 0."""
        made = shop()
        first = received(made)
        made.lose("products", offset(first))
        later = received(made, "later")
        at, back = f"products/0/{offset(first) + position}", made.losses[0]["back"]
        self.assertEqual(offset(later), offset(first) + 1)
        made.reads.append(Read("/products", PRODUCT, at, later.last.version or 0, "node1", back + after, back + after + 0.1, status, version))
        made.fill_tables()
        return kinds(made)

    def test_at_a_position_that_was_lost_and_at_one_in_its_place(self) -> None:
        there = shop().versions[PRODUCT] + 1
        self.assertEqual(self.read(0, 60.0, 404), [], "nobody can know what stood there")
        self.assertEqual(self.read(1, 1.0, 404), [], "the view has not noticed yet")
        self.assertEqual(self.read(1, 60.0, 404), ["stale-read"])
        self.assertEqual(self.read(-1, 1.0, 404), ["stale-read"], "what stood before is there all the time")
        self.assertEqual(self.read(1, 60.0, 200, there), [])

    def test_nothing_is_shown_of_what_was_lost_a_while_ago(self) -> None:
        beyond = shop().versions[PRODUCT] + 2
        self.assertEqual(self.read(1, reads.SHOWN_WITHIN + 1, 200, beyond), ["shows-lost"])
        self.assertEqual(self.read(1, reads.SHOWN_WITHIN - 1, 200, beyond), [])


class Segments(unittest.TestCase):
    """A partition's file."""

    @staticmethod
    def number(value: int) -> bytes:
        """As records have them."""
        value, found = (value << 1) ^ (value >> 63), b""
        while value > 0x7F:
            found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
        return found + bytes([value])

    def batch(self, base: int, *values: bytes | None) -> bytes:
        """A batch of records with these values, each with a header."""
        records = b""
        for nth, value in enumerate(values):
            said = self.number(-1) if value is None else self.number(len(value)) + value
            body = b"\0" + self.number(5 * nth) + self.number(nth) + self.number(1) + b"k" + said
            body += self.number(1) + self.number(3) + b"run" + self.number(1) + b"7"
            records += self.number(len(body)) + body
        length = segments.HEAD.size - segments.PREFIX + len(records)
        head = segments.HEAD.pack(base, length, 0, 2, 0, 0, len(values) - 1, 1000, 2000, 1, 0, 0, len(values))
        return head + records

    def test_it_is_read_and_cut_at_a_batch(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            log, index = folder / "00000000000000000000.log", folder / "00000000000000000000.index"
            log.write_bytes(self.batch(0, b"a", b"b" * 100) + self.batch(2, b"c") + self.batch(3, None, b"d") + b"torn")
            index.write_bytes(b"index")
            there = [record for batch in segments.batches(log) for record in batch.records]
            self.assertEqual([record.offset for record in there], [0, 1, 2, 3, 4])
            self.assertEqual([record.time for record in there], [1.0, 1.005, 1.0, 1.0, 1.005])
            self.assertEqual((there[1].key, there[1].value, there[1].headers), (b"k", b"b" * 100, [("run", b"7")]))
            self.assertEqual([record.value for record in segments.cut(folder, 4)], [b"", b"d"])
            self.assertEqual([batch.next for batch in segments.batches(log)], [2, 3])
            self.assertFalse(index.exists())
            self.assertEqual(segments.cut(folder, 3), [], "it ends there")
