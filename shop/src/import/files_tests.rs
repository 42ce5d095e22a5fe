//! Several files of one merchant: corrected, longer, later ones, and a shop that changed between them.

use super::{
    fake::{Script, Shop},
    tests::{HEADER, import, lines, skipped, summary},
};
use serde_json::json;
use std::collections::BTreeSet;

fn file(rows: &str) -> String {
    format!("{HEADER}\n{rows}")
}

/// Pieces, pence less the refunds, and orders.
fn sold(shop: &Shop) -> (i64, i64, usize) {
    shop.books.lock().sold()
}

/// The stock of a product that no order took.
fn left(shop: &Shop, code: &str) -> i64 {
    shop.books.lock().left(&format!("import/product/{code}"))
}

const HEART: &str = "1,10001,HEART,20,2011-01-01 10:00:00,1.50,7,UK\n";

#[tokio::test]
async fn a_corrected_file_receives_nothing_twice_and_adds_what_is_new() {
    let shop = Shop::open(Script::default()).await;
    let mug = |quantity: &str| format!("1,10002,MUG,{quantity},2011-01-01 10:00:00,2.00,7,UK\n");
    let other = |quantity: &str| format!("2,10001,HEART,{quantity},2011-01-01 10:00:00,1.50,7,UK\n");
    import(&file(&format!("{HEART}{}{}", mug("oops"), other("oops"))), &shop).await;
    let first = shop.books.lock().facts();
    import(&file(&format!("{HEART}{}{}", mug("oops"), other("oops"))).replace('\n', "\r\n"), &shop).await;
    assert_eq!(shop.books.lock().facts(), first, "the same lines in other bytes are nothing new");
    let corrected = file(&format!("{HEART}{}{}", mug("3"), other("1")));
    let plan = import(&corrected, &shop).await;
    assert_eq!((skipped(&plan), sold(&shop)), (BTreeSet::new(), (24, 3750, 3)));
    assert_eq!((left(&shop, "10001"), left(&shop, "10002")), (0, 0));
    let facts = shop.books.lock().facts();
    assert_eq!(summary(&import(&corrected, &shop).await), summary(&plan));
    assert_eq!(shop.books.lock().facts(), facts);
}

#[tokio::test]
async fn an_invoice_that_was_imported_with_other_lines_receives_no_stock() {
    let shop = Shop::open(Script::default()).await;
    import(&file(HEART), &shop).await;
    let facts = shop.books.lock().facts();
    for changed in [HEART.replace(",20,", ",21,"), HEART.replace("1.50", "1.40"), HEART.replace("1,10001", "1,10002")] {
        let plan = import(&file(&changed), &shop).await;
        assert_eq!(skipped(&plan), BTreeSet::from([(2, "its invoice was imported before, with other lines")]), "{changed}");
        let now = shop.books.lock().facts();
        assert_eq!((&now["stock"], &now["orders"]), (&facts["stock"], &facts["orders"]), "{changed}");
    }
    let plan = import(&file(&HEART.replace(",7,UK", ",8,UK")), &shop).await;
    assert_eq!((lines(&plan), left(&shop, "10001")), (vec![2], 0), "another customer's");
}

#[tokio::test]
async fn a_cancellation_finds_the_order_of_an_earlier_file_once() {
    let shop = Shop::open(Script::default()).await;
    import(&file(HEART), &shop).await;
    let back = file("C2,10001,HEART,-4,2011-02-01 10:00:00,1.50,7,UK\n");
    for time in 1..=2 {
        let plan = import(&back, &shop).await;
        let said = summary(&plan);
        assert_eq!((&said["cancelled"]["units"], &said["skipped_lines"]), (&json!(4), &json!(0)), "time {time}");
        assert_eq!(sold(&shop), (20, 2400, 1), "time {time}");
    }
    // A longer file, in which the cancellation finds another sale first.
    let longer = file("3,10001,HEART,9,2011-01-15 10:00:00,1.50,7,UK\nC2,10001,HEART,-4,2011-02-01 10:00:00,1.50,7,UK\n");
    import(&longer, &shop).await;
    assert_eq!(sold(&shop), (29, 3750, 2), "the money is not given back once more");
}

#[tokio::test]
async fn no_more_is_given_back_than_earlier_files_left() {
    let shop = Shop::open(Script::default()).await;
    import(&file(&format!("{HEART}1,10002,MUG,20,2011-01-01 10:00:00,4.00,7,UK\n")), &shop).await;
    import(&file("C2,10001,HEART,-15,2011-02-01 10:00:00,1.50,7,UK\n"), &shop).await;
    let plan = import(
        &file("C3,10001,HEART,-6,2011-02-02 10:00:00,1.50,7,UK\nC3,10001,HEART,-5,2011-02-02 10:00:00,1.50,7,UK\nC3,10001,HEART,-5,2011-02-03 10:00:00,1.50,7,UK\n"),
        &shop,
    )
    .await;
    assert_eq!(lines(&plan), [2, 4], "twenty were sold, and fifteen had come back");
    assert_eq!(sold(&shop), (40, 20 * 400, 1));
}

#[tokio::test]
async fn a_cancellation_takes_back_no_sale_that_its_file_dates_later() {
    let shop = Shop::open(Script::default()).await;
    let plan = import(&file(&format!("C2,10001,HEART,-4,2010-12-01 10:00:00,1.50,7,UK\n{HEART}")), &shop).await;
    assert_eq!((lines(&plan), sold(&shop)), (vec![2], (20, 3000, 1)));
}

#[tokio::test]
async fn a_withdrawn_product_costs_its_lines() {
    let shop = Shop::open(Script { withdrawn: vec!["import/product/10001"], ..Script::default() }).await;
    let year = file(&format!(
        "{HEART}1,10002,MUG,3,2011-01-01 10:00:00,2.00,7,UK\n2,10001,HEART,1,2011-01-01 10:00:00,1.50,8,UK\n3,10002,MUG,1,2011-01-01 10:00:00,2.00,8,UK\n"
    ));
    shop.script.lock().withdrawn.clear();
    import(&file(HEART), &shop).await;
    shop.script.lock().withdrawn.push("import/product/10001");
    for _ in 1..=2 {
        let plan = import(&year, &shop).await;
        assert_eq!(skipped(&plan), BTreeSet::from([(4, "its product is withdrawn")]), "what was sold before stays sold");
        assert_eq!(sold(&shop), (24, 3800, 3));
        assert_eq!(left(&shop, "10002"), 0);
    }
}

#[tokio::test]
async fn a_product_that_is_withdrawn_meanwhile_costs_its_lines() {
    let shop = Shop::open(Script { withdrawn: vec!["import/product/10001"], ..Script::default() }).await;
    let plan = import(&file(&format!("{HEART}1,10002,MUG,3,2011-01-01 10:00:00,2.00,7,UK\n")), &shop).await;
    assert_eq!(skipped(&plan), BTreeSet::from([(2, "its stock was refused: it is withdrawn-product")]));
    assert_eq!(sold(&shop), (3, 600, 1));
}

#[tokio::test]
async fn a_closed_account_costs_its_lines_and_keeps_what_it_bought() {
    let shop = Shop::open(Script::default()).await;
    import(&file(HEART), &shop).await;
    shop.script.lock().closed.push("import/user/7");
    let more = "2,10001,HEART,1,2011-02-01 10:00:00,1.50,7,UK\n3,10001,HEART,1,2011-02-01 10:00:00,1.50,8,UK\n";
    let plan = import(&file(&format!("{HEART}{more}")), &shop).await;
    assert_eq!(skipped(&plan), BTreeSet::from([(3, "its customer's account is closed")]));
    assert_eq!((sold(&shop), left(&shop, "10001")), ((21, 3150, 2), 0));
}

#[tokio::test]
async fn a_stock_code_that_somebody_listed_by_hand_is_that_product() {
    let by_hand = [("10001", "018f2f3a-7c1e-7b6a-9d53-0f4c8c7f2a11".to_owned())].into();
    let shop = Shop::open(Script { by_hand, ..Script::default() }).await;
    let plan = import(&file(HEART), &shop).await;
    assert_eq!((lines(&plan), sold(&shop)), (vec![], (20, 3000, 1)));
}

#[tokio::test]
async fn money_that_was_not_taken_is_not_given_back() {
    for status in ["capture-failed", "voided", "declined"] {
        let shop = Shop::open(Script { payments: [("import/order/1", status)].into(), ..Script::default() }).await;
        let back = "C2,10001,HEART,-4,2011-02-01 10:00:00,1.50,7,UK\n";
        let plan = import(&file(&format!("{HEART}{back}")), &shop).await;
        let said = format!("there is nothing to give back: the payment of its order is {status}: card-expired");
        assert_eq!(skipped(&plan), BTreeSet::from([(3, said.as_str())]));
        assert_eq!(sold(&shop), (20, 3000, 1));
    }
}

#[tokio::test]
async fn money_of_which_some_was_given_back_is_taken_money() {
    for status in ["refund-requested", "refund-failed", "partially-refunded", "refunded"] {
        let shop = Shop::open(Script { payments: [("import/order/1", status)].into(), ..Script::default() }).await;
        import(&file(&format!("{HEART}C2,10001,HEART,-4,2011-02-01 10:00:00,1.50,7,UK\n")), &shop).await;
        assert_eq!(sold(&shop), (20, 2400, 1), "{status}");
    }
}

#[tokio::test]
async fn an_invoice_that_is_too_long_takes_several_orders() {
    let shop = Shop::open(Script::default()).await;
    let long: String = (0..1001).map(|_| "1,10001,HEART,1,2011-01-01 10:00:00,1.00,7,UK\n").collect();
    for _ in 1..=2 {
        assert_eq!(lines(&import(&file(&long), &shop).await), [0; 0]);
        assert_eq!((sold(&shop), left(&shop, "10001")), ((1001, 100_100, 2), 0));
    }
}
