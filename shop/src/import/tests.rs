//! Whole imports against a shop in memory: once, twice, cut off anywhere, against a busy shop, a broken one and one that refuses.

use super::{
    api::{Api, ApiError},
    execute::{ImportError, Limits, execute},
    fake::{Script, Shop},
    report::{self, Summary},
};
use invoices::{FileError, Options, Plan};
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Read, time::Duration};

pub const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// A year of a small merchant. Line 7 cancels parts of lines 2 and 5, line 8 a part of line 4; lines 9 to 11 are no sales.
const YEAR: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,10001,HEART,5,2011-01-01 10:00:00,1.00,7.0,UK
1,10002 B,BAG,1,2011-01-01 10:00:00,2.55,7.0,UK
2,10001,HEART,10,2011-01-02 10:00:00,0.85,8.0,France
3,10001,HEART,3,2011-01-03 10:00:00,1.00,7.0,UK
4,10003,LAMP,2,2011-01-04 10:00:00,12.75,9.0,UK
C5,10001,HEART,-4,2011-01-05 10:00:00,1.00,7.0,UK
C6,10001,HEART,-2,2011-01-05 10:00:00,0.85,8.0,France
C7,10003,LAMP,-3,2011-01-05 10:00:00,12.75,9.0,UK
8,POST,POSTAGE,1,2011-01-05 10:00:00,18.00,9.0,UK
8,10003,LAMP,1,2011-01-05 10:00:00,12.75,,UK
";

const SETTLE: Duration = Duration::from_secs(20);

fn read(csv: &[u8]) -> Result<Plan, FileError> {
    Plan::read(csv, &Options::default())
}

async fn carry_out(csv: &[u8], shop: &Shop, concurrency: usize, settle: Duration) -> Result<Plan, ImportError> {
    let mut plan = read(csv).expect("the header is right");
    execute(&mut plan, &Api::new(&shop.url, concurrency)?, Limits { concurrency, settle }).await?;
    Ok(plan)
}

pub async fn import(csv: &str, shop: &Shop) -> Plan {
    carry_out(csv.as_bytes(), shop, 4, SETTLE).await.expect("it is imported")
}

pub fn summary(plan: &Plan) -> Value {
    let summary = Summary::of(plan, Duration::ZERO).json();
    let figure = |name: &str| summary[name].as_u64().expect("a number");
    assert_eq!(figure("lines"), figure("imported_lines") + figure("skipped_lines"));
    let left_out: u64 = summary["left_out"].as_object().expect("reasons").values().map(|lines| lines.as_u64().expect("a number")).sum();
    assert_eq!(left_out, figure("skipped_lines"), "each line that was left out has its reason");
    summary
}

pub fn skipped(plan: &Plan) -> BTreeSet<(u64, &str)> {
    let skipped: BTreeSet<_> = plan.skipped.iter().map(|skipped| (skipped.line, skipped.reason.as_str())).collect();
    assert_eq!(skipped.iter().map(|(line, _)| line).collect::<BTreeSet<_>>().len(), plan.skipped.len(), "a line is reported once");
    skipped
}

pub fn lines(plan: &Plan) -> Vec<u64> {
    skipped(plan).into_iter().map(|(line, _)| line).collect()
}

#[tokio::test]
async fn a_year_is_imported_and_the_shop_holds_what_the_summary_says() {
    let shop = Shop::open(Script::default()).await;
    let plan = import(YEAR, &shop).await;
    let mut said = summary(&plan);
    assert_eq!(said["read_as"]["dates"], "year-month-day");
    said.as_object_mut().expect("an object").remove("read_as");
    assert_eq!(
        said,
        json!({
            "lines": 10, "imported_lines": 7, "skipped_lines": 3, "orders": 4, "units": 15, "revenue": {"GBP": 3885},
            "sold": {"lines": 5, "units": 21, "revenue": {"GBP": 4455}}, "cancelled": {"lines": 2, "units": 6, "revenue": {"GBP": 570}},
            "users": 3, "products": 3, "seconds": 0.0, "left_out": {
                "a charge or a discount, not goods": 1, "no customer": 1,
                "cancels nothing that is imported: no earlier line of this customer, product and price with enough pieces": 1,
            },
        })
    );
    let books = shop.books.lock();
    assert_eq!(books.sold(), (21, 3885, 4));
    assert_eq!(books.product("import/product/10002%20B")["name"], "BAG");
    assert_eq!(books.left("import/product/10001"), 0, "what was received is what was sold");
    assert_eq!(lines(&plan), [9, 10, 11]);
}

#[tokio::test]
async fn a_second_import_changes_nothing_and_says_the_same() {
    let shop = Shop::open(Script::default()).await;
    let first = import(YEAR, &shop).await;
    let facts = shop.books.lock().facts();
    let second = import(YEAR, &shop).await;
    assert_eq!(shop.books.lock().facts(), facts);
    assert_eq!((summary(&first), skipped(&first)), (summary(&second), skipped(&second)));
}

/// The summary, the facts and the number of POSTs of an import that nothing disturbs.
async fn undisturbed() -> (Value, Value, u64) {
    let shop = Shop::open(Script::default()).await;
    let summary = summary(&import(YEAR, &shop).await);
    let books = shop.books.lock();
    (summary, books.facts(), books.posts)
}

#[tokio::test]
async fn wherever_the_shop_breaks_the_next_import_ends_the_same() {
    let (whole, facts, posts) = undisturbed().await;
    for most in 0..posts {
        let shop = Shop::open(Script { breaks_after: Some(most), ..Script::default() }).await;
        let broken = carry_out(YEAR.as_bytes(), &shop, 4, SETTLE).await.expect_err("the shop is broken").to_string();
        assert!(broken.contains("500"), "{broken}");
        shop.script.lock().breaks_after = None;
        assert_eq!(summary(&import(YEAR, &shop).await), whole, "broken after {most}");
        assert_eq!(shop.books.lock().facts(), facts, "broken after {most}");
    }
}

#[tokio::test]
async fn wherever_it_is_killed_the_next_import_ends_the_same() {
    let (whole, facts, posts) = undisturbed().await;
    for most in 1..posts {
        let shop = Shop::open(Script::default()).await;
        let far = async {
            while shop.books.lock().posts < most {
                tokio::task::yield_now().await;
            }
        };
        // Dropping the import here stops it as kill -9 would.
        tokio::select! {
            biased;
            () = far => {}
            ended = carry_out(YEAR.as_bytes(), &shop, 4, SETTLE) => drop(ended.expect("nothing disturbs it")),
        }
        assert_eq!(summary(&import(YEAR, &shop).await), whole, "killed after {most}");
        assert_eq!(shop.books.lock().facts(), facts, "killed after {most}");
    }
}

#[tokio::test]
async fn a_busy_shop_is_asked_again() {
    let (whole, facts, _) = undisturbed().await;
    let shop = Shop::open(Script { busy_every: Some(2), ..Script::default() }).await;
    assert_eq!(summary(&import(YEAR, &shop).await), whole);
    let books = shop.books.lock();
    assert_eq!(books.facts(), facts);
    assert!(books.posts > books.changes, "it was busy");
}

#[tokio::test]
async fn an_answer_that_nobody_knows_is_asked_for_again_and_nothing_is_done_twice() {
    let (whole, facts, _) = undisturbed().await;
    let shop = Shop::open(Script { unknown_every: Some(3), ..Script::default() }).await;
    assert_eq!(summary(&import(YEAR, &shop).await), whole);
    assert_eq!(shop.books.lock().facts(), facts);
}

#[tokio::test]
async fn an_order_that_is_not_confirmed_is_left_out_with_every_line_that_would_cancel_it() {
    let shop = Shop::open(Script { declines: vec!["import/order/3"], ..Script::default() }).await;
    let plan = import(YEAR, &shop).await;
    let said = skipped(&plan);
    assert!(said.contains(&(5, "its order was cancelled: payment-declined")), "{said:?}");
    assert_eq!(lines(&plan), [5, 7, 9, 10, 11], "line 7 cancels pieces of line 2 also, and is left out whole, once");
    let summary = summary(&plan);
    assert_eq!((&summary["orders"], &summary["units"], &summary["revenue"]["GBP"]), (&json!(3), &json!(16), &json!(3985)));
    assert_eq!(shop.books.lock().sold(), (18, 3985, 3));
}

#[tokio::test]
async fn a_line_whose_orders_are_all_off_is_reported_once() {
    let shop = Shop::open(Script { declines: vec!["import/order/1", "import/order/3"], ..Script::default() }).await;
    assert_eq!(lines(&import(YEAR, &shop).await), [2, 3, 5, 7, 9, 10, 11]);
}

#[tokio::test]
async fn a_refused_refund_is_a_skipped_line() {
    let shop = Shop::open(Script { keeps: vec!["import/refund/C6/10001/2x85/1/1"], ..Script::default() }).await;
    let plan = import(YEAR, &shop).await;
    assert!(skipped(&plan).contains(&(8, "its refund was refused: it is refund-exceeds-captured")));
    assert_eq!(summary(&plan)["revenue"]["GBP"], shop.books.lock().sold().1);
}

#[tokio::test]
async fn an_order_that_nobody_settles_stops_the_import_rather_than_be_called_skipped() {
    let shop = Shop::open(Script { forgets: vec!["import/order/2"], ..Script::default() }).await;
    let error = carry_out(YEAR.as_bytes(), &shop, 4, Duration::from_millis(300)).await.expect_err("it waits in vain");
    assert!(matches!(error, ImportError::Unsettled { .. }), "{error}");
    shop.script.lock().forgets.clear();
    assert_eq!(lines(&import(YEAR, &shop).await), [9, 10, 11]);
}

#[tokio::test]
async fn another_file_of_the_merchant_finds_its_customers_and_products() {
    let shop = Shop::open(Script::default()).await;
    import(YEAR, &shop).await;
    let next = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
        20,10001,NEW NAME,2,2012-01-01 10:00:00,1.20,7.0,Spain\n1,10001,HEART,1,2012-01-01 10:00:00,1.20,7.0,Spain\n";
    let plan = import(next, &shop).await;
    assert_eq!(skipped(&plan), BTreeSet::from([(3, "its invoice was imported before, with other lines")]));
    assert_eq!(shop.books.lock().sold(), (23, 4125, 5));
    assert_eq!(shop.books.lock().product("import/product/10001")["name"], "HEART");
    let facts = shop.books.lock().facts();
    assert_eq!((summary(&import(next, &shop).await), summary(&import(YEAR, &shop).await)["orders"].clone()), (summary(&plan), json!(4)));
    assert_eq!(shop.books.lock().facts(), facts);
}

#[tokio::test]
async fn nobody_there_is_said_within_seconds() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let api = Api::new(&format!("http://127.0.0.1:{port}"), 1).expect("an address");
    let error = tokio::time::timeout(Duration::from_secs(20), api.greet()).await.expect("it gives up").expect_err("nobody is there");
    assert!(error.to_string().contains("refused"), "{error}");
    for nonsense in ["", "localhost:8080", "ftp://example.com", "http://"] {
        assert!(matches!(Api::new(nonsense, 1), Err(ApiError::Address { .. })), "{nonsense}");
    }
}

#[test]
fn the_report_lists_the_lines_in_order_and_replaces_an_older_one_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("report.jsonl");
    std::fs::write(&path, "older\n").expect("it is written");
    let mut plan = read(YEAR.as_bytes()).expect("the header is right");
    plan.skip(9, "it is found last");
    report::write(&path, &plan).expect("it is written");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let numbers: Vec<Value> = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["line"].clone()).collect();
    assert_eq!(numbers, [9, 10, 11]);
    assert_eq!(directory.path().read_dir().expect("it can be listed").count(), 1, "nothing unfinished is left");
    let device = directory.path().join("device");
    std::os::unix::fs::symlink("/dev/null", &device).expect("a link");
    report::write(&device, &plan).expect("a device is written to");
    assert!(device.is_symlink(), "and not replaced");
    assert!(report::check(directory.path()).is_err() && report::check(&directory.path().join("none/report")).is_err());
    assert!(report::check(&path).is_ok() && report::check(std::path::Path::new("report")).is_ok());
}

/// The totals of the real year, computed by a program in another language from the rules in the example's README.
#[test]
fn the_real_year_comes_to_what_another_program_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/online-retail/online-retail-sample.csv.gz");
    let mut csv = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the example")).read_to_end(&mut csv).expect("it unpacks");
    let mut plan = read(&csv).expect("the header is right");
    let (found, lost): (Vec<_>, Vec<_>) = plan.cancellations.drain(..).partition(|cancellation| !cancellation.parts.is_empty());
    plan.cancellations = found;
    lost.into_iter().for_each(|cancellation| plan.skip(cancellation.line.number, "no shop, no earlier file"));
    let summary = summary(&plan);
    let of = |name: &str| summary[name].as_i64();
    assert_eq!((of("lines"), of("imported_lines"), of("skipped_lines")), (Some(23_843), Some(21_682), Some(2_161)));
    assert_eq!((of("orders"), of("users"), of("products")), (Some(9_104), Some(3_205), Some(2_707)));
    assert_eq!((of("units"), summary["revenue"]["GBP"].as_i64()), (Some(276_809), Some(46_859_387)));
    assert_eq!(summary["cancelled"], json!({"lines": 43, "units": 232, "revenue": {"GBP": 62_282}}));
}
