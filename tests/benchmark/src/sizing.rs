//! How large a Daybook must be for a load, and which limit it meets first: arithmetic over what one thing costs, behind `docs/sizing.md`.

mod costs;
mod limits;
mod plan;
mod tables;

pub use tables::tables;

/// Seconds of a year of 365 days.
const YEAR: f64 = 31_536_000.0;

/// A load, and the machines that are to carry it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What it is called in a table.
    pub name: &'static str,
    /// Events in all logs together.
    pub events: f64,
    /// Years in which they came.
    pub years: f64,
    /// Events a second at the busiest time.
    pub peak: f64,
    /// Aggregates that are in use: changed or asked for within days.
    pub aggregates: f64,
    /// Nodes, each with all services and roles.
    pub nodes: f64,
    /// Processors of each node.
    pub processors: f64,
    /// Nodes that follow each partition besides its owner (`DAYBOOK_STANDBYS`).
    pub standbys: f64,
    /// Services with a log.
    pub services: f64,
    /// Partitions of each service's log (`DAYBOOK_PARTITIONS`).
    pub partitions: f64,
    /// Brokers.
    pub brokers: f64,
    /// Copies of each partition (`DAYBOOK_REPLICATION`).
    pub copies: f64,
    /// Processors of the database server.
    pub database_processors: f64,
}

impl Load {
    /// Events a second, over all the years.
    pub fn events_per_second(&self) -> f64 {
        self.events / (self.years * YEAR)
    }

    /// Nodes that follow each partition, as far as there are so many others.
    pub fn followers(&self) -> f64 {
        self.standbys.min(self.nodes - 1.0)
    }

    /// Partitions of all logs together, copies not counted.
    pub fn all_partitions(&self) -> f64 {
        self.partitions * self.services
    }
}

/// One machine for everything.
const SMALL: Load = Load {
    name: "small",
    events: 5e6,
    years: 5.0,
    peak: 20.0,
    aggregates: 2e4,
    nodes: 1.0,
    processors: 2.0,
    standbys: 1.0,
    services: 5.0,
    partitions: 12.0,
    brokers: 1.0,
    copies: 1.0,
    database_processors: 2.0,
};

/// Three machines, so that one may be lost.
const MIDDLE: Load = Load {
    name: "middle",
    events: 5e8,
    years: 3.0,
    peak: 200.0,
    aggregates: 1e6,
    nodes: 3.0,
    processors: 4.0,
    partitions: 24.0,
    brokers: 3.0,
    copies: 3.0,
    database_processors: 8.0,
    ..SMALL
};

/// A shop of a whole country.
const LARGE: Load = Load {
    name: "large",
    events: 2e10,
    years: 3.0,
    peak: 5_000.0,
    aggregates: 2e7,
    nodes: 24.0,
    processors: 8.0,
    partitions: 96.0,
    brokers: 12.0,
    database_processors: 32.0,
    ..MIDDLE
};

/// One of 25 cells that share the extreme load, each with brokers, nodes and databases of its own.
const CELL: Load =
    Load { name: "cell, 1 of 25", events: 4e10, peak: 4_000.0, aggregates: 8e5, nodes: 40.0, partitions: 400.0, brokers: 6.0, ..LARGE };

/// The examples of the document.
fn examples() -> [Load; 5] {
    [SMALL, MIDDLE, LARGE, Load { name: "extreme", ..grown(1_000.0) }, CELL]
}

/// A way from three machines to the extreme: a node for each two partitions of each log, a broker for each eight nodes, and a million
/// events times the square of the nodes, so that 1,000 nodes have 10^12.
fn grown(nodes: f64) -> Load {
    let events = 1e6 * nodes * nodes;
    let load = Load { events, nodes, partitions: (2.0 * nodes).max(12.0), brokers: (nodes / 8.0).ceil().max(3.0), ..LARGE };
    Load { name: "grown", peak: 10.0 * load.events_per_second(), aggregates: 20_000.0 * nodes, ..load }
}
