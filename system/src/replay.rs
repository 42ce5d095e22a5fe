//! `daybook replay` and `daybook rebuild`: make views anew from the log, to prove the live ones or to replace them. They repeat no side
//! effect: they only fold views, and run no reactor.

use crate::{
    FOUND, Failure, Service, System,
    cli::{RebuildArguments, ReplayArguments},
    store::Store,
};
use indicatif::{ProgressBar, ProgressStyle};
use projections::{Comparison, ErasedView, Progress, RebuildParts, Rebuilding};
use serde_json::json;
use std::{process::ExitCode, sync::Arc, time::Instant};

/// How many differing rows a rebuild reports.
const EXAMPLES: usize = 10;

/// Compares each view of the services with one made anew from the log; exit code 4 when any differs.
pub(crate) async fn replay(system: &System, arguments: ReplayArguments) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let store = Store::open(system, &arguments.store, "replay").await?;
    let asked = |service: &&Service| arguments.services.is_empty() || arguments.services.iter().any(|asked| asked == service.name());
    let services: Vec<&Service> = system.services().iter().filter(asked).collect();
    let mut held = Vec::new();
    for service in &services {
        held.push(store.hold(service.name()).await?);
    }
    store.refuse_other_logs(services.iter().map(|service| service.name())).await?;
    let (mut compared, mut records) = (Vec::new(), 0);
    for service in services {
        for view in service.views().iter() {
            let (comparison, read) = prove(&store, service.name(), view, arguments.examples).await?;
            if !arguments.json {
                say(&comparison);
            }
            compared.push(comparison);
            records += read;
        }
    }
    store.close().await?;
    drop(held);
    if records == 0 {
        return Err(Failure::usage("there is nothing to compare: the views have read nothing of the log yet; `daybook run` makes them"));
    }
    let equal = compared.iter().all(Comparison::is_equal);
    let seconds = began.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", json!({"equal": equal, "views": compared, "records": records, "seconds": seconds}));
    } else {
        let verdict = if equal { "every view is what the log makes it" } else { "the views are NOT what the log makes them" };
        println!("{verdict} ({records} records read in {seconds:.1} s)");
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

async fn prove(store: &Store, service: &'static str, view: &ErasedView, examples: usize) -> Result<(Comparison, u64), Failure> {
    let rebuilding = begin(store, service, view, "replay", false).await?;
    let behind = rebuilding.behind().await.map_err(Failure::failed)?;
    let (bar, progress) = bar(&format!("{service}/{}", view.name()), behind);
    let comparison = rebuilding.compare(examples, &progress).await;
    bar.finish_and_clear();
    let comparison = comparison.map_err(Failure::failed)?;
    rebuilding.discard().await.map_err(Failure::failed)?;
    Ok((comparison, bar.position()))
}

/// Makes a view anew, compares it with the live one, and puts it in that one's place.
pub(crate) async fn rebuild(system: &System, arguments: RebuildArguments) -> Result<ExitCode, Failure> {
    let named = |service: &Service| Some((service.name(), service.views().named(&arguments.view)?.clone()));
    let (service, view) = system.services().iter().find_map(named).ok_or_else(|| unknown(system, &arguments.view))?;
    let store = Store::open(system, &arguments.store, "rebuild").await?;
    let _held = store.hold(service).await?;
    store.refuse_other_logs([service].into_iter()).await?;
    let rebuilding = begin(&store, service, &view, "rebuild", arguments.resume).await?;
    let behind = rebuilding.behind().await.map_err(Failure::failed)?;
    let (bar, progress) = bar(&format!("{service}/{}", arguments.view), behind);
    let comparison = rebuilding.compare(EXAMPLES, &progress).await;
    bar.finish_and_clear();
    let comparison = comparison.map_err(Failure::failed)?;
    rebuilding.swap().await.map_err(Failure::failed)?;
    store.close().await?;
    if arguments.json {
        println!("{}", json!({"comparison": comparison, "records": bar.position()}));
    } else {
        say(&comparison);
        println!("{}: the view made anew has taken the old one's place", arguments.view);
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(system: &System, view: &str) -> Failure {
    let names = |service: &Service| service.views().iter().map(|view| view.name()).collect::<Vec<_>>();
    let names: Vec<&str> = system.services().iter().flat_map(names).collect();
    Failure::usage(format!("there is no view {view:?}; the views are {}", names.join(", ")))
}

async fn begin(store: &Store, service: &'static str, view: &ErasedView, purpose: &str, resume: bool) -> Result<Rebuilding, Failure> {
    let (database, codecs, logs, view) = (store.database(service).await?, store.codecs.clone(), store.logs.clone(), view.clone());
    Rebuilding::begin(RebuildParts { service, view, purpose, resume, database, codecs, logs }).await.map_err(Failure::failed)
}

/// A progress bar: records read, their rate, and how long the rest will take.
fn bar(what: &str, length: u64) -> (ProgressBar, Progress) {
    let bar = records_bar(what, length);
    let told = bar.clone();
    (bar, Arc::new(move |records| told.inc(records)))
}

/// A progress bar of records on standard error.
pub(crate) fn records_bar(what: &str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} records  {per_sec}  {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what.to_owned())
}

fn say(comparison: &Comparison) {
    let Comparison { view, rows, rebuilt_rows, digest, rebuilt_digest, differing, differences, same_place } = comparison;
    if comparison.is_equal() {
        return println!("{view:16} equal    {rows:>8} rows  {}", &digest[..16]);
    }
    println!(
        "{view:16} DIFFERS  {rows:>8} rows  {} live, {rebuilt_rows} rows {} from the log: {differing} keys differ",
        &digest[..16],
        &rebuilt_digest[..16]
    );
    if !same_place {
        println!("  both do not stand at the same place of the log");
    }
    for difference in differences {
        let shown = |row: &Option<serde_json::Value>| row.as_ref().map_or("no row".to_owned(), ToString::to_string);
        println!("  {}\n    live      {}\n    from log  {}", difference.key, shown(&difference.live), shown(&difference.rebuilt));
    }
}
