//! The library as a process: a command, the view, the reactor behind a deadline; a restart; the view made anew.

use serde_json::json;
use system_tests::process::{Daybook, eventually, free_port, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lending-library");
const BOOK: &str = "018f2f3a-7c1e-7b6a-9d53-0f4c8c7f2a11";
const READER: &str = "018f2f3a-7c1e-7b6a-9d53-0f4c8c7f2a12";

#[tokio::test(flavor = "multi_thread")]
async fn a_book_is_lent_missed_and_its_reader_fined() {
    let (directory, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let Some(library) = Daybook::embedded_with(PROGRAM, directory.path(), port, &[]).await else { return };
    let (loans, long) = (format!("/books/{BOOK}/loans"), json!({"reader": READER, "seconds": 3600}));
    library.client().must(&loans, "first", long.clone()).await;
    let on_loan = async |library: &Daybook| library.client().get(&format!("/loans/{BOOK}")).await.is_some_and(|(status, _)| status == 200);
    eventually("the loan is shown", async || on_loan(&library).await.then_some(())).await;
    assert_eq!(library.client().post(&loans, None, long.clone()).await.status(), 422, "it is lent already");
    assert!(library.terminate(), "it ends in good order");

    let library = Daybook::embedded_with(PROGRAM, directory.path(), port, &[]).await.expect("it was there before");
    library.client().must(&loans, "first", long).await;
    assert!(on_loan(&library).await, "what was lent is remembered");
    let other = BOOK.replace("2a11", "2a13");
    library.client().must(&format!("/books/{other}/loans"), "second", json!({"reader": READER, "seconds": 0})).await;
    eventually("the reader is fined", async || {
        let (_, fined) = library.client().get(&format!("/audit/reader/{READER}")).await?;
        (fined["items"][0]["event"]["book"] == *other).then_some(())
    })
    .await;
    let rebuild = tool(PROGRAM, directory.path(), port, &["rebuild", "loans"]);
    assert!(rebuild.status.success(), "{rebuild:?}");
    assert!(on_loan(&library).await, "the view made anew shows it");
}
