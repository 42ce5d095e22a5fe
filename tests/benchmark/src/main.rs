//! Measures Daybook against its own parts, and makes docs/performance.md's tables and pictures. `./bench` starts what it needs.

mod append;
mod bare;
mod figure;
mod get;
mod grown;
mod growth;
mod history;
mod http;
mod load;
mod nodes;
mod nothing;
mod ours;
mod owning;
mod partitions;
mod peers;
mod picture;
mod posts;
mod process;
mod render;
mod replay;
mod saga;
mod sizing;
mod stage;
mod transactions;
mod usage;
mod views;
mod watched;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use figure::Set;
use stage::Stage;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Both sides use Daybook's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Daybook against its own parts.
#[derive(Parser)]
struct Arguments {
    /// What to measure; all of it when nothing is named.
    names: Vec<Name>,
    /// Shorter, for a look: its figures are printed only.
    #[arg(long)]
    short: bool,
    /// Measure nothing: make the tables and pictures again from the figures that are there.
    #[arg(long)]
    report: bool,
    /// How often each pair is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Copies of each partition: 3 on three brokers.
    #[arg(long, default_value_t = 1)]
    copies: i32,
    /// The project's documents.
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
    /// Be a peer instead: serve here, and do nothing.
    #[arg(long, hide = true)]
    serve_nothing: Option<SocketAddr>,
    /// Be an owner instead: own this service's log, and say when and how.
    #[arg(long, hide = true, requires = "data")]
    own: Option<String>,
    /// Where that owner keeps its snapshots.
    #[arg(long, hide = true)]
    data: Option<PathBuf>,
}

/// What can be measured, in the order of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    Append,
    Append3,
    Transactions,
    Replay,
    Views,
    Get,
    Post,
    Forwarded,
    Saga,
    Growth,
    Partitions,
    Nodes,
}

impl Name {
    fn text(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    async fn measure(self, stage: &Stage) -> Result<Set> {
        match self {
            Self::Append | Self::Append3 => append::append(stage, &self.text()).await,
            Self::Transactions => append::transactions(stage).await,
            Self::Replay => replay::replay(stage).await,
            Self::Views => views::views(stage).await,
            Self::Get => get::measure(stage).await,
            Self::Post => posts::measure(stage).await,
            Self::Forwarded => posts::forwarded(stage).await,
            Self::Saga => saga::measure(stage).await,
            Self::Growth => growth::measure(stage).await,
            Self::Partitions => partitions::measure(stage).await,
            Self::Nodes => nodes::measure(stage).await,
        }
    }
}

fn json_of(docs: &Path, name: Name) -> PathBuf {
    docs.join("figures").join(format!("{}.json", name.text()))
}

fn write(docs: &Path, name: Name, set: &Set) -> Result<()> {
    std::fs::create_dir_all(docs.join("figures"))?;
    Ok(std::fs::write(json_of(docs, name), serde_json::to_string_pretty(set)? + "\n")?)
}

/// The tables and pictures, from the figures that are there.
fn report(docs: &Path) -> Result<()> {
    let mut sets = Vec::new();
    for path in Name::value_variants().iter().map(|name| json_of(docs, *name)).filter(|path| path.exists()) {
        let set: Set = serde_json::from_str(&std::fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        picture::draw(&path.with_extension("svg"), &set)?;
        sets.push(set);
    }
    render::document(&docs.join("performance.md"), &sets)?;
    render::between(&docs.join("sizing.md"), &[("sizing", sizing::tables())])
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { names, short, report: only_report, runs, copies, docs, serve_nothing, own, data } = Arguments::parse();
    if let Some(address) = serve_nothing {
        return nothing::serve(address).await;
    }
    if let (Some(service), Some(data)) = (own, data) {
        return owning::own(&service, &data).await;
    }
    if only_report {
        return report(&docs);
    }
    let stage = Stage::from_environment(copies, runs, short)?;
    let mut failed = Vec::new();
    for name in names {
        // A measurement that fails does not end the others.
        if let Err(error) = measured(&stage, name, &docs).await {
            eprintln!("{} cannot be measured: {error:#}", name.text());
            failed.push(name.text());
        }
    }
    if !short {
        report(&docs)?;
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Measures and prints; saves the figures unless the measurement is a short one.
async fn measured(stage: &Stage, name: Name, docs: &Path) -> Result<()> {
    let set = name.measure(stage).await?;
    println!("## {}\n\n{}", name.text(), render::table(&set));
    if stage.short { Ok(()) } else { write(docs, name, &set) }
}
