use super::Plan;
use crate::{DayOrder, FileError, Options};

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

fn read(bytes: &[u8]) -> Result<Plan, FileError> {
    Plan::read(bytes, &Options::default())
}

fn plan(lines: &str) -> Plan {
    read(format!("{HEADER}{lines}").as_bytes()).expect("the header is right")
}

/// The lines that cancel nothing of their file.
fn unmatched(plan: &Plan) -> Vec<u64> {
    plan.cancellations.iter().filter(|cancellation| cancellation.parts.is_empty()).map(|cancellation| cancellation.line.number).collect()
}

fn skipped(plan: &Plan) -> Vec<u64> {
    plan.skipped.iter().map(|skipped| skipped.line).collect()
}

#[test]
fn an_invoice_is_an_order_with_its_lines() {
    let plan = plan(
        "1,10001,HEART,2,2011-01-01 10:00:00,1.50,7.0,UK\n1,10002,,1,2011-01-01 10:00:00,2,7,UK\n2,10001,HEART,3,2011-01-02 10:00:00,1.25,8,France\n",
    );
    assert_eq!(plan.orders.iter().map(|order| (order.invoice.as_str(), order.lines.len())).collect::<Vec<_>>(), [("1", 2), ("2", 1)]);
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
        assert_eq!(skipped(&read(file.as_bytes()).expect("the header is right")), [2, 4, 6], "{end:?}");
    }
    let marked = format!("\u{feff}{HEADER}1,10001,x,0,,1,7,UK\n");
    assert_eq!(skipped(&read(marked.as_bytes()).expect("the header is right")), [2]);
}

#[test]
fn bytes_that_are_not_text_spoil_their_own_line_only() {
    let mut bytes = format!("{HEADER}1,10001,CAFÉ À LA CRÈME,1,2011-01-01 10:00:00,1,7,UK\r\n").into_bytes();
    bytes.extend(b"1,10001,\xff\xfe,1,2011-01-01 10:00:00,1,7,UK\r\n1,10001,x,1,2011-01-01 10:00:00,1,7,UK\r\n");
    let plan = read(&bytes).expect("the header is right");
    assert_eq!((skipped(&plan), plan.orders[0].lines.len(), plan.read_as.encoding), (vec![3], 2, "UTF-8"));
    assert!(plan.skipped[0].reason.contains("no text in the file's encoding"), "{:?}", plan.skipped);
}

const DELIMITED: [(char, &str); 4] = [(',', "commas"), (';', "semicolons"), ('\t', "tabs"), ('|', "vertical bars")];

#[test]
fn each_delimiter_is_recognised_and_said() {
    for (delimiter, name) in DELIMITED {
        let file = format!("{HEADER}1,10001,HEART,2,2011-01-01 10:00:00,1.50,7,UK\n").replace(',', &delimiter.to_string());
        for hint in ["", &format!("sep={delimiter}\r\n"), &format!("\"sep={delimiter}\"\n")] {
            let plan = read(format!("{hint}{file}").as_bytes()).expect("it is recognised");
            assert_eq!((plan.read_as.separated_by, plan.orders[0].lines[0].pence), (name, 150));
            assert_eq!(plan.orders[0].lines[0].number, if hint.is_empty() { 2 } else { 3 }, "{hint:?}");
        }
    }
}

#[test]
fn a_european_file_is_read_as_it_is_meant() {
    let rows =
        "1;10001;HEART, RED;1.200;13.12.2010 08:26;1.234,50;7;Deutschland\n2;10002;\"BECHER; GROSS\";2;01.12.2010 08:26;0,5;8;Österreich\n";
    let file = format!("{}{rows}", HEADER.replace(',', ";"));
    let plan = read(file.as_bytes()).expect("it is recognised");
    let (first, second) = (&plan.orders[0].lines[0], &plan.orders[1].lines[0]);
    assert_eq!((first.quantity, first.pence, &*first.date), (1200, 123_450, "2010-12-13T08:26:00"));
    assert_eq!((second.pence, &*second.date, &*second.description), (50, "2010-12-01T08:26:00", "BECHER; GROSS"));
    assert_eq!(plan.read_as.to_string(), "UTF-8, separated by semicolons, dates as day/month/year, decimal comma");
}

#[test]
fn what_fits_two_ways_is_asked_before_anything_is_done_and_the_answer_is_taken() {
    let file = format!("{HEADER}1,10001,HEART,2,3/4/2011 10:00,\"1,250\",7,UK\n");
    let dates = read(file.as_bytes()).expect_err("day or month?").to_string();
    assert!(dates.starts_with("line 2: is 3/4/2011 10:00 day/month") && dates.contains("--dates day-first"), "{dates}");
    let stated = |options| Plan::read(file.as_bytes(), &options);
    let numbers = stated(Options { dates: Some(DayOrder::MonthFirst), ..Options::default() }).expect_err("thousands?").to_string();
    assert!(numbers.starts_with("line 2: does 1,250 have") && numbers.contains("--decimal point"), "{numbers}");
    let (dates, decimal) = ("day-first".parse().ok(), "comma".parse().ok());
    let plan = stated(Options { dates, decimal, ..Options::default() }).expect("all is said");
    assert_eq!((plan.orders[0].lines[0].pence, &*plan.orders[0].lines[0].date), (125, "2011-04-03T10:00:00"));
}

#[test]
fn a_line_with_another_number_of_fields_is_named() {
    let plan = plan("1,10001,HEART,2,2011-01-01 10:00:00,1.50,7,UK\n2,10001,RED, HEART,2,2011-01-01 10:00:00,1.50,7,UK\n");
    assert_eq!((plan.skipped[0].line, &*plan.skipped[0].reason), (3, "malformed: 9 fields where the header has 8"));
}

#[test]
fn a_description_loses_what_the_shop_takes_in_no_name() {
    let plan = plan("1,10001,A\u{202e}B\u{200f} C,1,2011-01-01 10:00:00,1,7,UK\n1,10002,\u{200b}\u{3164},1,2011-01-01 10:00:00,1,7,UK\n");
    assert_eq!((&*plan.products["10001"].name, &*plan.products["10002"].name), ("AB C", "10002"));
}

#[test]
fn columns_may_stand_elsewhere_but_not_be_missing() {
    let moved = "\u{feff}Country,Extra,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo\nUK,?,7,1.5,2011-01-01 10:00:00,2,x,10001,1\n";
    assert_eq!(read(moved.as_bytes()).expect("all are there").orders[0].lines[0].pence, 150);
    let missing = read(b"InvoiceNo,StockCode\n").expect_err("columns are missing").to_string();
    assert!(missing.contains("Description"), "{missing}");
    assert!(read(b"").is_err());
}

#[test]
fn a_cancellation_takes_back_the_latest_earlier_sale() {
    let plan = plan(
        "1,10001,x,5,2011-01-01 10:00:00,1.00,7,UK\n2,10001,x,3,2011-01-02 10:00:00,1.00,7,UK\nC3,10001,x,-4,2011-01-03 10:00:00,1.00,7,UK\n\
         4,10001,x,9,2011-01-04 10:00:00,1.00,7,UK\nC5,10001,x,-4,2011-01-03 10:00:00,1.00,7,UK\nC6,10001,x,-1,2011-01-03 10:00:00,1.00,7,UK\n\
         C7,10001,x,-1,2011-01-03 10:00:00,2.00,7,UK\nC8,10001,x,-1,2011-01-03 10:00:00,1.00,8,UK\n",
    );
    let parts = plan
        .cancellations
        .iter()
        .flat_map(|cancellation| cancellation.parts.iter().map(|part| (cancellation.key.as_str(), part.order, part.quantity)));
    assert_eq!(parts.collect::<Vec<_>>(), [("C3/10001/4x100/1", 1, 3), ("C3/10001/4x100/1", 0, 1), ("C5/10001/4x100/1", 0, 4)]);
    assert_eq!(unmatched(&plan), [7, 8, 9], "nothing is left, another price, another customer");
}

#[test]
fn another_sample_of_a_cancellation_names_its_refunds_the_same() {
    let sale = "1,10001,x,5,2011-01-01 10:00:00,1.00,7,UK\n1,10002,x,5,2011-01-01 10:00:00,1.00,7,UK\n";
    let (first, second) = ("C3,10001,x,-1,2011-01-03 10:00:00,1.00,7,UK\n", "C3,10002,x,-1,2011-01-03 10:00:00,1.00,7,UK\n");
    let keys =
        |lines: &str| plan(&format!("{sale}{lines}")).cancellations.into_iter().map(|cancellation| cancellation.key).collect::<Vec<_>>();
    assert_eq!(keys(&format!("{first}{second}"))[1..], keys(second), "though its line is the second here and the first there");
    assert_eq!(keys(&format!("{second}{second}")), ["C3/10002/1x100/1", "C3/10002/1x100/2"], "those that are alike are counted");
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
        let plan = read(&bytes).expect("the header is right");
        let sold: usize = plan.orders.iter().map(|order| order.lines.len()).sum();
        assert_eq!(plan.lines as usize, sold + plan.cancellations.len() + plan.skipped.len());
    }
}

/// The real year, summed independently: split by commas from the right, prices as hundredths.
#[test]
fn the_real_year_agrees_to_the_penny_with_an_independent_sum() {
    use std::io::Read;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/online-retail/online-retail-sample.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the example is there")).read_to_string(&mut text).expect("it unpacks");
    let plan = read(text.as_bytes()).expect("the header is right");
    let left_out: std::collections::HashSet<u64> = plan.skipped.iter().map(|skipped| skipped.line).chain(unmatched(&plan)).collect();
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
    let matched = || plan.cancellations.iter().filter(|cancellation| !cancellation.parts.is_empty()).map(|cancellation| &cancellation.line);
    let refunded = matched().fold((0, 0), |(units, pence), line| (units + line.quantity, pence + line.quantity * line.pence));
    assert_eq!(units, sold().map(|line| line.quantity).sum::<i64>() - refunded.0);
    assert_eq!(pence, sold().map(|line| line.quantity * line.pence).sum::<i64>() - refunded.1);
    assert_eq!(lines + left_out.len() as u64, plan.lines);
    assert_eq!(plan.lines, 23_843);
    assert!(plan.orders.len() > 5_000 && matched().count() > 0, "{} orders", plan.orders.len());
}
