use super::Plan;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn plan(lines: &str) -> Plan {
    Plan::read(format!("{HEADER}{lines}").as_bytes()).expect("the header is right")
}

fn skipped(plan: &Plan) -> Vec<u64> {
    plan.skipped.iter().map(|skipped| skipped.line).collect()
}

#[test]
fn an_invoice_is_an_order_with_its_lines() {
    let plan = plan(
        "1,10001,HEART,2,2011-01-01 10:00:00,1.50,7.0,UK\n1,10002,,1,2011-01-01 10:00:00,2,7,UK\n2,10001,HEART,3,2011-01-02 10:00:00,1.25,8,France\n",
    );
    assert_eq!(plan.orders.iter().map(|order| (order.key.as_str(), order.lines.len())).collect::<Vec<_>>(), [("1", 2), ("2", 1)]);
    assert_eq!(plan.products["10001"].pieces, 5);
    assert_eq!((plan.products["10001"].name.as_str(), plan.products["10001"].pence), ("HEART", 150));
    assert_eq!(plan.products["10002"].name, "10002", "no description: the code stands in");
    assert_eq!(plan.customers["8"], "France");
    assert!(plan.skipped.is_empty());
}

#[test]
fn each_thing_that_is_no_sale_is_skipped_with_its_line() {
    let plan = plan(
        "1,POST,POSTAGE,1,2011-01-01 10:00:00,18.00,7,UK\n1,10001,damaged,-5,2011-01-01 10:00:00,1,7,UK\n1,10001,x,1,2011-01-01 10:00:00,0,7,UK\n\
         1,10001,x,1,2011-01-01 10:00:00,1,,UK\n1,10001,x,one,2011-01-01 10:00:00,1,7,UK\n1,10001,x,1,yesterday,1,7,UK\n1,10001,x,1\n1,10001,x,1,2011-01-01 10:00:00,1,7,UK\n\
         1,10001,x,1,2011-01-01 10:00:00,1,8,UK\n",
    );
    assert_eq!(skipped(&plan), [2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!((plan.lines, plan.orders.len(), plan.orders[0].lines.len()), (9, 1, 1));
}

#[test]
fn lines_are_physical_lines_though_a_field_holds_a_newline() {
    let plan = plan("1,10001,\"two\nlines\",1,2011-01-01 10:00:00,1,7,UK\n1,10001,x,0,2011-01-01 10:00:00,1,7,UK\n");
    assert_eq!(skipped(&plan), [4]);
}

#[test]
fn lines_are_those_of_an_editor_however_they_end() {
    for end in ["\n", "\r\n", "\r"] {
        let lines = [
            "1,10001,x,0,2011-01-01 10:00:00,1,7,UK",
            "",
            "1,10001,\"two",
            "lines\",0,2011-01-01 10:00:00,1,7,UK",
            "2,10001,x,0,,1,7,UK",
            "",
        ];
        let file = format!("{}{end}{}", HEADER.trim_end(), lines.join(end));
        assert_eq!(skipped(&Plan::read(file.as_bytes()).expect("the header is right")), [2, 4, 6], "{end:?}");
    }
    let marked = format!("\u{feff}{HEADER}1,10001,x,0,,1,7,UK\n");
    assert_eq!(skipped(&Plan::read(marked.as_bytes()).expect("the header is right")), [2]);
}

#[test]
fn bytes_that_are_not_text_spoil_their_own_line_only() {
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes.extend(b"1,10001,\xff\xfe,1,2011-01-01 10:00:00,1,7,UK\r\n1,10001,x,1,2011-01-01 10:00:00,1,7,UK\r\n");
    let plan = Plan::read(&bytes).expect("the header is right");
    assert_eq!((skipped(&plan), plan.orders.len()), (vec![2], 1));
}

#[test]
fn a_description_loses_what_the_shop_takes_in_no_name() {
    let plan = plan("1,10001,A\u{202e}B\u{200f} C,1,2011-01-01 10:00:00,1,7,UK\n1,10002,\u{200b}\u{3164},1,2011-01-01 10:00:00,1,7,UK\n");
    assert_eq!((&*plan.products["10001"].name, &*plan.products["10002"].name), ("AB C", "10002"));
}

#[test]
fn columns_may_stand_elsewhere_but_not_be_missing() {
    let moved = "\u{feff}Country,Extra,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo\nUK,?,7,1.5,2011-01-01 10:00:00,2,x,10001,1\n";
    assert_eq!(Plan::read(moved.as_bytes()).expect("all are there").orders[0].lines[0].pence, 150);
    let missing = Plan::read(b"InvoiceNo,StockCode\n").expect_err("columns are missing").to_string();
    assert!(missing.contains("Description"), "{missing}");
    assert!(Plan::read(b"").is_err());
}

#[test]
fn a_cancellation_takes_back_the_latest_earlier_sale() {
    let plan = plan(
        "1,10001,x,5,2011-01-01 10:00:00,1.00,7,UK\n2,10001,x,3,2011-01-02 10:00:00,1.00,7,UK\nC3,10001,x,-4,2011-01-03 10:00:00,1.00,7,UK\n\
         4,10001,x,9,2011-01-04 10:00:00,1.00,7,UK\nC5,10001,x,-4,2011-01-03 10:00:00,1.00,7,UK\nC6,10001,x,-1,2011-01-03 10:00:00,1.00,7,UK\n\
         C7,10001,x,-1,2011-01-03 10:00:00,2.00,7,UK\nC8,10001,x,-1,2011-01-03 10:00:00,1.00,8,UK\n",
    );
    let refunds: Vec<_> = plan.refunds.iter().map(|refund| (refund.key.as_str(), refund.order, refund.quantity, refund.pence)).collect();
    assert_eq!(refunds, [("C3/10001/4x100/1/1", 1, 3, 300), ("C3/10001/4x100/1/2", 0, 1, 100), ("C5/10001/4x100/1/1", 0, 4, 400)]);
    assert_eq!(skipped(&plan), [7, 8, 9], "nothing is left, another price, another customer");
}

#[test]
fn another_sample_of_a_cancellation_names_its_refunds_the_same() {
    let sale = "1,10001,x,5,2011-01-01 10:00:00,1.00,7,UK\n1,10002,x,5,2011-01-01 10:00:00,1.00,7,UK\n";
    let (first, second) = ("C3,10001,x,-1,2011-01-03 10:00:00,1.00,7,UK\n", "C3,10002,x,-1,2011-01-03 10:00:00,1.00,7,UK\n");
    let keys = |lines: &str| plan(&format!("{sale}{lines}")).refunds.into_iter().map(|refund| refund.key).collect::<Vec<_>>();
    assert_eq!(keys(&format!("{first}{second}"))[1..], keys(second), "though its line is the second here and the first there");
    assert_eq!(keys(&format!("{second}{second}")), ["C3/10002/1x100/1/1", "C3/10002/1x100/2/1"], "those that are alike are counted");
}

#[test]
fn an_invoice_that_is_too_long_takes_several_orders() {
    let lines: String = (0..1001).map(|_| "1,10001,x,1,2011-01-01 10:00:00,1,7,UK\n").collect();
    let plan = plan(&lines);
    assert_eq!(plan.orders.iter().map(|order| (order.key.as_str(), order.lines.len())).collect::<Vec<_>>(), [("1", 1000), ("1/2", 1)]);
}

#[test]
fn any_bytes_are_taken_without_a_panic_and_every_line_is_accounted_for() {
    let mut seed = 7_u64;
    let alphabet: Vec<&[u8]> =
        vec![b"1", b"C", b"10001", b",", b",", b",", b"\n", b"\r\n", b"\"", b"-", b"0.5", b"2011-01-01 10:00:00", b"\xff", b"9", b" "];
    for _ in 0..3_000 {
        let mut bytes = HEADER.as_bytes().to_vec();
        for _ in 0..60 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend(alphabet[(seed >> 33) as usize % alphabet.len()]);
        }
        let plan = Plan::read(&bytes).expect("the header is right");
        let sold: usize = plan.orders.iter().map(|order| order.lines.len()).sum();
        let cancelled: std::collections::BTreeSet<u64> = plan.refunds.iter().map(|refund| refund.number).collect();
        assert_eq!(plan.lines as usize, sold + cancelled.len() + plan.skipped.len());
    }
}

/// The real year, summed independently: split by commas from the right, prices as hundredths.
#[test]
fn the_real_year_agrees_to_the_penny_with_an_independent_sum() {
    use std::io::Read;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/online-retail/online-retail-sample.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the example is there")).read_to_string(&mut text).expect("it unpacks");
    let plan = Plan::read(text.as_bytes()).expect("the header is right");
    let left_out: std::collections::HashSet<u64> = plan.skipped.iter().map(|skipped| skipped.line).collect();
    let (mut units, mut pence, mut lines) = (0_i64, 0_i64, 0_u64);
    for (number, line) in text.lines().enumerate().skip(1).filter(|(number, _)| !left_out.contains(&(*number as u64 + 1))) {
        let fields: Vec<&str> = line.rsplitn(6, ',').collect();
        let quantity: i64 = fields[4].trim().parse().unwrap_or_else(|_| panic!("line {}", number + 1));
        let price: f64 = fields[2].parse().expect("a price");
        units += quantity;
        pence += quantity * (price * 100.0).round() as i64;
        lines += 1;
    }
    let sold = || plan.orders.iter().flat_map(|order| &order.lines);
    let refunded: (i64, i64) = plan.refunds.iter().fold((0, 0), |(units, pence), refund| (units + refund.quantity, pence + refund.pence));
    assert_eq!(units, sold().map(|line| line.quantity).sum::<i64>() - refunded.0);
    assert_eq!(pence, sold().map(|line| line.quantity * line.pence).sum::<i64>() - refunded.1);
    assert_eq!(lines + plan.skipped.len() as u64, plan.lines);
    assert_eq!(plan.lines, 23_843);
    assert!(plan.orders.len() > 5_000 && !plan.refunds.is_empty(), "{} orders, {} refunds", plan.orders.len(), plan.refunds.len());
}
