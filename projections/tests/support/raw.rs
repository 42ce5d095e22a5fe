//! Looks into a database, and changes it, behind the views' back.

/// Sets all readers of a database back to the beginning of their logs, with all that they have made: their rows and letters. What was
/// dropped for good stays.
pub async fn begin_anew(url: &str) {
    run(url, "DELETE FROM checkpoints").await;
    run(url, "DELETE FROM dead_letters").await;
    run(url, &format!("DELETE FROM {}", table_of(url, "members").await)).await;
}

/// The name of the table that answers a view's reads.
pub async fn table_of(url: &str, view: &str) -> String {
    value(url, &format!("SELECT table_name FROM view_versions WHERE view = '{view}' AND state = 'ready'")).await
}

/// The text that a query answers, asked behind the views' back.
pub async fn value(url: &str, query: &str) -> String {
    let query = sqlx::AssertSqlSafe(query.to_owned());
    if url.starts_with("sqlite") {
        sqlx::query_scalar(query).fetch_one(&sqlx::SqlitePool::connect(url).await.unwrap()).await.unwrap()
    } else {
        sqlx::query_scalar(query).fetch_one(&sqlx::PgPool::connect(url).await.unwrap()).await.unwrap()
    }
}

/// Runs a statement on a database behind the views' back.
pub async fn run(url: &str, statement: &str) {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    if url.starts_with("sqlite") {
        sqlx::query(statement).execute(&sqlx::SqlitePool::connect(url).await.unwrap()).await.unwrap();
    } else {
        sqlx::query(statement).execute(&sqlx::PgPool::connect(url).await.unwrap()).await.unwrap();
    }
}
