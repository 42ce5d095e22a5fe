use super::*;
use crate::testing::{Given, given};

fn gbp(amount: i64) -> Money {
    Money { amount, currency: "GBP".parse().unwrap() }
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: "EUR".parse().unwrap() }
}

fn pieces(n: i64) -> Quantity {
    Quantity::new(n).unwrap()
}

/// A quantity that a node whose parser is less strict could forward.
fn unparsed(n: i64) -> Quantity {
    serde_json::from_value(n.into()).unwrap()
}

fn order(n: u8) -> OrderId {
    OrderId::derive("test", &n.to_string())
}

/// The reservation of the product's stock-keeping unit under a number.
fn held(number: i64) -> Reserved {
    held_of("85123A", number)
}

fn held_of(sku: &str, number: i64) -> Reserved {
    Reserved { reservation_id: ReservationId::of_sku(&sku.parse().unwrap()), number }
}

fn list_with(reserved: Option<Reserved>) -> ProductCommand {
    ProductCommand::List { sku: "85123A".parse().unwrap(), name: "Lantern".parse().unwrap(), price: gbp(255), reserved }
}

fn list() -> ProductCommand {
    list_with(Some(held(1)))
}

fn listed() -> ProductEvent {
    listed_with(Some(held(1)))
}

fn listed_with(reserved: Option<Reserved>) -> ProductEvent {
    ProductEvent::Listed(ProductListed { sku: "85123A".parse().unwrap(), name: "Lantern".parse().unwrap(), price: gbp(255), reserved })
}

fn received(n: i64) -> ProductEvent {
    ProductEvent::StockReceived(StockReceived { quantity: pieces(n) })
}

fn receive(n: i64) -> ProductCommand {
    ProductCommand::ReceiveStock { quantity: unparsed(n) }
}

fn reserve(n: u8, quantity: i64) -> ProductCommand {
    reserve_at(n, quantity, None)
}

fn reserve_at(n: u8, quantity: i64, agreed_price: Option<Money>) -> ProductCommand {
    ProductCommand::Reserve { order_id: order(n), line: 0, quantity: unparsed(quantity), agreed_price }
}

fn reserved(n: u8, quantity: i64, unit_price: Money) -> ProductEvent {
    ProductEvent::StockReserved(StockReserved { order_id: order(n), line: 0, quantity: pieces(quantity), unit_price })
}

fn rejected(n: u8, quantity: i64, reason: &str) -> ProductEvent {
    let quantity = unparsed(quantity);
    ProductEvent::ReservationRejected(ReservationRejected { order_id: order(n), line: 0, quantity, reason: reason.into() })
}

fn release(n: u8) -> ProductCommand {
    ProductCommand::Release { order_id: order(n), line: 0 }
}

fn released(n: u8, quantity: i64) -> ProductEvent {
    ProductEvent::StockReleased(StockReleased { order_id: order(n), line: 0, quantity: pieces(quantity) })
}

fn ship(n: u8) -> ProductCommand {
    ProductCommand::Ship { order_id: order(n), line: 0 }
}

fn shipped(n: u8, quantity: i64) -> ProductEvent {
    ProductEvent::StockShipped(StockShipped { order_id: order(n), line: 0, quantity: pieces(quantity) })
}

fn withdraw() -> ProductCommand {
    ProductCommand::Withdraw { reason: None }
}

fn withdrawn() -> ProductEvent {
    ProductEvent::Withdrawn(ProductWithdrawn { reason: None, left: Some(held(1)) })
}

fn change_price(price: Money) -> ProductCommand {
    ProductCommand::ChangePrice { price }
}

/// On hand, reserved, available.
fn levels(given: &Given<Product>) -> (i64, i64, i64) {
    let stock = given.state().stock();
    (stock.on_hand(), stock.reserved(), stock.available())
}

#[test]
fn a_product_is_listed_once() {
    let given = given::<Product>([]).when(list()).then([listed()]);
    assert_eq!(given.state().status(), Some("listed"));
    assert_eq!(given.state().listing().unwrap().price, gbp(255));
    given.when(list()).refused("already-listed").saying("the product is already listed, as sku 85123A: an identity is listed once");
}

#[test]
fn a_withdrawn_product_is_not_listed_again() {
    given::<Product>([listed(), withdrawn()]).when(list()).refused("withdrawn-product");
}

#[test]
fn a_price_is_from_nothing_to_the_largest_amount() {
    let (name, reserved): (Text, _) = ("A".parse().unwrap(), Some(held_of("A", 1)));
    let at = |amount| ProductCommand::List { sku: "A".parse().unwrap(), name: name.clone(), price: gbp(amount), reserved };
    let words = "price: must be from 0 to 1000000000000 minor units, is -1";
    given::<Product>([]).when(at(-1)).refused("invalid-price").on("price").saying(words);
    given::<Product>([]).when(at(Money::MAX + 1)).refused("invalid-price").on("price");
    given::<Product>([listed()]).when(change_price(gbp(i64::MIN))).refused("invalid-price").on("price");
}

#[test]
fn a_price_changes_within_its_currency() {
    let changed = ProductEvent::PriceChanged(PriceChanged { price: gbp(300) });
    let given = given::<Product>([listed()]).when(change_price(gbp(300))).then([changed]);
    assert_eq!(given.state().listing().unwrap().price, gbp(300));
    let given = given.when(change_price(gbp(300))).then_nothing();
    let words = "price: must be in GBP, the currency of the product, is in EUR";
    given.when(change_price(eur(300))).refused("currency-mismatch").on("price").saying(words);
}

#[test]
fn only_a_listed_product_changes_its_price() {
    given::<Product>([]).when(change_price(gbp(1))).not_found("unknown-product");
    given::<Product>([listed(), withdrawn()]).when(change_price(gbp(1))).refused("withdrawn-product");
}

#[test]
fn a_listed_product_receives_stock() {
    let given = given::<Product>([listed(), received(5)]).when(receive(7)).then([received(7)]);
    assert_eq!(levels(&given), (12, 0, 12));
}

#[test]
fn only_a_listed_product_receives_stock() {
    given::<Product>([]).when(receive(1)).not_found("unknown-product");
    given::<Product>([listed(), withdrawn()]).when(receive(1)).refused("withdrawn-product");
}

#[test]
fn a_receipt_is_of_one_piece_to_ten_million() {
    let words = "quantity: must be from 1 to 10000000, is 0";
    given::<Product>([listed()]).when(receive(0)).refused("invalid-quantity").on("quantity").saying(words);
    given::<Product>([listed()]).when(receive(i64::MIN)).refused("invalid-quantity");
    given::<Product>([listed()]).when(receive(i64::MAX)).refused("invalid-quantity");
}

#[test]
fn the_house_holds_a_bounded_number_of_pieces() {
    let full = || (0..Stock::MAX / Quantity::MAX - 1).map(|_| received(Quantity::MAX));
    let almost = given::<Product>([listed()].into_iter().chain(full()).chain([received(Quantity::MAX - 1)]));
    let words = "quantity: at most 1000000000000 pieces may be in stock, 999999999999 are and 2 more were to come";
    almost.clone().when(receive(2)).refused("too-much-stock").on("quantity").saying(words);
    almost.when(receive(1)).then([received(1)]);
}

#[test]
fn a_reservation_takes_the_catalogue_price() {
    let given = given::<Product>([listed(), received(5)]).when(reserve(1, 3)).then([reserved(1, 3, gbp(255))]);
    assert_eq!(levels(&given), (5, 3, 2));
    assert_eq!(given.state().stock().reservation(order(1), 0), Some(pieces(3)));
}

#[test]
fn an_agreed_price_overrides_the_catalogue() {
    let past = [listed(), received(5)];
    given::<Product>(past).when(reserve_at(1, 5, Some(gbp(199)))).then([reserved(1, 5, gbp(199))]);
}

#[test]
fn a_reservation_that_cannot_be_made_is_an_event() {
    let stocked = || given::<Product>([listed(), received(5)]);
    stocked().when(reserve(1, 6)).then([rejected(1, 6, "insufficient-stock")]);
    stocked().when(reserve_at(1, 1, Some(eur(255)))).then([rejected(1, 1, "currency-mismatch")]);
    stocked().when(reserve_at(1, 1, Some(gbp(-1)))).then([rejected(1, 1, "invalid-price")]);
    stocked().when(reserve(1, -1)).then([rejected(1, -1, "invalid-quantity")]);
    stocked().when(withdraw()).then([withdrawn()]).when(reserve(1, 1)).then([rejected(1, 1, "withdrawn-product")]);
}

#[test]
fn what_is_reserved_is_not_available_to_others() {
    let past = [listed(), received(5), reserved(1, 3, gbp(255))];
    given::<Product>(past.clone()).when(reserve(2, 3)).then([rejected(2, 3, "insufficient-stock")]);
    given::<Product>(past).when(reserve(2, 2)).then([reserved(2, 2, gbp(255))]);
}

#[test]
fn a_product_that_was_never_listed_rejects_and_can_still_be_listed() {
    let given = given::<Product>([]).when(reserve(1, 1)).then([rejected(1, 1, "unknown-product")]);
    assert_eq!(given.state().status(), None);
    let given = given.when(reserve(1, 1)).then_nothing().when(list()).then([listed()]);
    let given = given.when(receive(1)).then([received(1)]).when(reserve(1, 1)).then_nothing();
    given.when(reserve(2, 1)).then([reserved(2, 1, gbp(255))]);
}

#[test]
fn a_line_is_answered_once() {
    let past = |event| given::<Product>([listed(), received(5), reserved(1, 3, gbp(255)), event]);
    past(received(1)).when(reserve(1, 3)).then_nothing();
    past(released(1, 3)).when(reserve(1, 3)).then_nothing();
    past(shipped(1, 3)).when(reserve(1, 3)).then_nothing();
    past(rejected(2, 9, "insufficient-stock")).when(reserve(2, 1)).then_nothing();
}

#[test]
fn another_line_of_the_same_order_is_another_reservation() {
    let second = ProductCommand::Reserve { order_id: order(1), line: 1, quantity: pieces(1), agreed_price: None };
    let event = StockReserved { order_id: order(1), line: 1, quantity: pieces(1), unit_price: gbp(255) };
    let past = [listed(), received(5), reserved(1, 3, gbp(255))];
    given::<Product>(past).when(second).then([ProductEvent::StockReserved(event)]);
}

#[test]
fn a_release_frees_the_pieces_once() {
    let past = [listed(), received(5), reserved(1, 3, gbp(255))];
    let given = given::<Product>(past).when(release(1)).then([released(1, 3)]);
    assert_eq!(levels(&given), (5, 0, 5));
    given.when(release(1)).then_nothing().when(ship(1)).then_nothing();
}

#[test]
fn a_shipment_takes_the_pieces_out_once() {
    let past = [listed(), received(5), reserved(1, 3, gbp(255))];
    let given = given::<Product>(past).when(ship(1)).then([shipped(1, 3)]);
    assert_eq!(levels(&given), (2, 0, 2));
    given.when(ship(1)).then_nothing().when(release(1)).then_nothing();
}

#[test]
fn what_was_never_reserved_is_neither_released_nor_shipped() {
    given::<Product>([]).when(release(1)).then_nothing().when(ship(1)).then_nothing();
    given::<Product>([listed(), received(5)]).when(release(1)).then_nothing().when(ship(1)).then_nothing();
}

#[test]
fn open_reservations_outlive_a_withdrawal() {
    let past = || given::<Product>([listed(), received(5), reserved(1, 3, gbp(255)), reserved(2, 1, gbp(255)), withdrawn()]);
    let given = past().when(ship(1)).then([shipped(1, 3)]).when(release(2)).then([released(2, 1)]);
    assert_eq!((given.state().status(), levels(&given)), (Some("withdrawn"), (2, 0, 2)));
    past().when(reserve(1, 3)).then_nothing();
}

#[test]
fn a_product_is_withdrawn_once() {
    given::<Product>([]).when(withdraw()).not_found("unknown-product");
    given::<Product>([listed()]).when(withdraw()).then([withdrawn()]).when(withdraw()).then_nothing();
}

#[test]
fn settled_lines_are_forgotten_oldest_first_and_open_ones_never() {
    let rejection = |line| {
        let reason = "insufficient-stock".into();
        ProductEvent::ReservationRejected(ReservationRejected { order_id: order(2), line, quantity: pieces(9), reason })
    };
    let ask = |line| ProductCommand::Reserve { order_id: order(2), line, quantity: pieces(9), agreed_price: None };
    let newest = i32::try_from(SETTLED_LINES).unwrap();
    let past = [listed(), received(1), reserved(1, 1, gbp(255))].into_iter().chain((0..=newest).map(rejection));
    let given = given::<Product>(past);
    given.clone().when(ask(newest)).then_nothing();
    given.clone().when(ask(1)).then_nothing();
    given.clone().when(ask(0)).then([rejection(0)]);
    given.when(reserve(1, 1)).then_nothing().when(ship(1)).then([shipped(1, 1)]);
}

#[test]
fn a_unit_needs_its_own_reservation() {
    given::<Product>([]).when(list_with(None)).refused("not-reserved").on("sku");
    given::<Product>([]).when(list_with(Some(held_of("B", 1)))).refused("not-reserved");
}

#[test]
fn what_was_forgone_before_the_listing_is_never_used() {
    let forgo = |number| ProductCommand::ForgoSku { reserved: held(number) };
    let forgone = ProductEvent::SkuForgone(ProductSkuForgone { reserved: held(3) });
    let given = given::<Product>([]).when(forgo(3)).then([forgone]).when(forgo(1)).then_nothing();
    given.clone().when(list_with(Some(held(3)))).refused("reservation-forgone");
    given.clone().when(list()).refused("reservation-forgone");
    let listed = given.when(list_with(Some(held(5)))).then([listed_with(Some(held(5)))]);
    listed.when(forgo(5)).refused("sku-taken").on("sku");
}

#[test]
fn a_listed_product_has_its_unit_until_it_is_withdrawn() {
    let uses = |sku: &str| ProductCommand::UsesSku { reservation_id: held_of(sku, 1).reservation_id };
    let forgo = ProductCommand::ForgoSku { reserved: held(9) };
    given::<Product>([]).when(uses("85123A")).then_nothing();
    for listed in [listed(), listed_with(None)] {
        given::<Product>([listed.clone()]).when(uses("85123a")).refused("sku-taken");
        given::<Product>([listed.clone()]).when(uses("85123B")).then_nothing();
        given::<Product>([listed.clone()]).when(forgo.clone()).refused("sku-taken");
        given::<Product>([listed, withdrawn()]).when(uses("85123A")).then_nothing().when(forgo.clone()).then_nothing();
    }
}

#[test]
fn a_product_of_an_earlier_version_leaves_no_reservation() {
    let left = ProductEvent::Withdrawn(ProductWithdrawn { reason: None, left: None });
    given::<Product>([listed_with(None)]).when(withdraw()).then([left]);
}
