//! The plans as tables of Markdown.

use super::{
    Load, YEAR,
    costs::{BUSIEST, Costs},
    examples, grown,
    limits::{Limit, Unit, crossings, shares},
    plan::Plan,
};
use std::fmt::Write;

/// How many partitions may be chosen, the examples, where the way to the extreme crosses which limit, and by how much the extreme is
/// over: as `docs/sizing.md` has them.
pub fn tables() -> String {
    let costs = Costs::default();
    [choices(&costs), worked(&costs), crossed(&costs), over(&costs)].join("\n")
}

/// The most partitions of each log that so many nodes can place, and the events that these can hold.
fn choices(costs: &Costs) -> String {
    let mut text =
        String::from("nodes | most by the group | most by the standbys | two for each node | events, an hour for each partition\n");
    text.push_str("--- | --- | --- | --- | ---\n");
    for nodes in [1, 3, 10, 30, 100, 300, 1_000].map(f64::from) {
        let (group, standbys) = most_partitions(costs, nodes);
        let (group, standbys, least) = (most_asked(group), most_asked(standbys), (2.0 * nodes).max(12.0));
        let events = shown(Unit::Count, least * costs.cold_rate * 3_600.0 / BUSIEST);
        let _ = writeln!(text, "{} | {group} | {standbys} | {} | {events}", digits(nodes), digits(least));
    }
    text
}

/// For five services: until the leader's session ends, and until each node's thread has no time left.
fn most_partitions(costs: &Costs, nodes: f64) -> (f64, f64) {
    let standing_by = costs.standing_by_seconds * nodes;
    ((6.0 / (costs.placing_seconds * nodes)).sqrt() / 5.0, 1.0 / standing_by / 5.0)
}

/// `DAYBOOK_PARTITIONS` takes 10,000 at most.
fn most_asked(partitions: f64) -> String {
    digits(partitions.floor().min(10_000.0))
}

/// A row of the examples: what it shows, and how.
type Row = (&'static str, Unit, fn(&Load, &Plan) -> f64);

const ASKED: [Row; 10] = [
    ("**asked for**: events in all", Unit::Count, |load, _| load.events),
    ("events a second, on average over the years", Unit::Count, |load, _| load.events_per_second()),
    ("events a second, at the peak", Unit::Count, |load, _| load.peak),
    ("aggregates in use", Unit::Count, |load, _| load.aggregates),
    ("**chosen**: nodes", Unit::Count, |load, _| load.nodes),
    ("processors of a node", Unit::Count, |load, _| load.processors),
    ("partitions of each log", Unit::Count, |load, _| load.partitions),
    ("brokers", Unit::Count, |load, _| load.brokers),
    ("copies", Unit::Count, |load, _| load.copies),
    ("processors of the database", Unit::Count, |load, _| load.database_processors),
];

const TAKEN: [Row; 31] = [
    ("**a broker**: disk", Unit::Bytes, |_, plan| plan.broker.disk),
    ("more each day", Unit::Bytes, |_, plan| plan.broker.daily),
    ("partitions, with copies", Unit::Count, |_, plan| plan.broker.partitions),
    ("memory maps after a full replay", Unit::Count, |_, plan| plan.broker.maps),
    ("the same with `segment.ms` raised", Unit::Count, |_, plan| plan.broker.maps_by_size),
    ("connections of nodes, at most", Unit::Count, |_, plan| plan.broker.connections),
    ("in a second, at the peak", Unit::Bytes, |_, plan| plan.broker.incoming),
    ("out a second, at the peak", Unit::Bytes, |_, plan| plan.broker.outgoing),
    ("time to refill a new one", Unit::Seconds, |_, plan| plan.broker.refill),
    ("**a node**: partitions owned", Unit::Count, |_, plan| plan.node.owned),
    ("memory, at most", Unit::Bytes, |_, plan| plan.node.memory),
    ("snapshots on disk", Unit::Bytes, |_, plan| plan.node.snapshots),
    ("time to check them when all are opened", Unit::Seconds, |_, plan| plan.node.reopen),
    ("threads of Kafka's clients", Unit::Count, |_, plan| plan.node.threads),
    ("the same while it starts", Unit::Count, |_, plan| plan.node.starting_threads),
    ("connections to other nodes", Unit::Count, |_, plan| plan.node.peers),
    ("open files while it starts", Unit::Count, |_, plan| plan.node.starting_files),
    ("processors busy at the peak", Unit::Count, |_, plan| plan.node.busy),
    ("**the databases**: connections, at most", Unit::Count, |_, plan| plan.database.connections),
    ("processors busy for the busiest, at the peak", Unit::Count, |_, plan| plan.database.busy),
    ("the audit's table", Unit::Bytes, |_, plan| plan.database.audit),
    ("**placement**: time in which the group's leader places", Unit::Seconds, |_, plan| plan.placement.placing),
    ("the group's record", Unit::Bytes, |_, plan| plan.placement.group),
    ("the owners' topic, compacted", Unit::Bytes, |_, plan| plan.placement.owners),
    ("the directory in each node", Unit::Bytes, |_, plan| plan.placement.directory),
    ("**read again**: a partition, no snapshot", Unit::Seconds, |_, plan| plan.again.partition),
    ("all partitions of a node, no snapshot", Unit::Seconds, |_, plan| plan.again.node),
    ("the audit made anew", Unit::Seconds, |_, plan| plan.again.rebuild),
    ("threads of the program that does it", Unit::Count, |_, plan| plan.again.rebuild_threads),
    ("open files of the program", Unit::Count, |_, plan| plan.again.rebuild_files),
    ("processor hours to fold every log once", Unit::Count, |_, plan| plan.again.hours),
];

fn worked(costs: &Costs) -> String {
    let loads = examples();
    let plans = loads.map(|load| (load, Plan::of(costs, &load)));
    let mut text = format!("what | {}\n--- |{}\n", loads.map(|load| load.name).join(" | "), [" ---"; 5].join(" |"));
    for (what, unit, of) in ASKED.iter().chain(&TAKEN) {
        let cells = plans.map(|(load, plan)| shown(*unit, of(&load, &plan)));
        let _ = writeln!(text, "{what} | {}", cells.join(" | "));
    }
    text
}

fn crossed(costs: &Costs) -> String {
    let mut text = String::from("crossed at | what | limit | whose\n--- | --- | --- | ---\n");
    for (limit, nodes) in crossings(costs) {
        let at = nodes.map_or("not up to 1,000 nodes".to_owned(), |nodes| place(f64::from(nodes)));
        let _ = writeln!(text, "{at} | {} | {} | {}", limit.what, most(&limit, nodes), limit.source);
    }
    text
}

fn place(nodes: f64) -> String {
    let load = grown(nodes);
    let (nodes, events) = (shown(Unit::Count, nodes), shown(Unit::Count, load.events));
    format!("{nodes} nodes, {} partitions, {events} events", shown(Unit::Count, load.all_partitions()))
}

fn most(limit: &Limit, nodes: Option<u32>) -> String {
    shown(limit.unit, (limit.most)(&grown(nodes.map_or(1_000.0, f64::from))))
}

fn over(costs: &Costs) -> String {
    let load = grown(1_000.0);
    let plan = Plan::of(costs, &load);
    let mut text = String::from("what, at the extreme | takes | limit | times the limit\n--- | --- | --- | ---\n");
    for (limit, share) in shares(costs, &load) {
        let (taken, most) = (shown(limit.unit, (limit.taken)(&plan)), shown(limit.unit, (limit.most)(&load)));
        let times = digits(share);
        let times = if share > 1.0 { format!("**{times}**") } else { times };
        let _ = writeln!(text, "{} | {taken} | {most} | {times}", limit.what);
    }
    text
}

fn shown(unit: Unit, number: f64) -> String {
    match unit {
        Unit::Count => digits(number),
        Unit::Bytes => scaled(number, 1.0, &[(1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]),
        Unit::Seconds if number < 2.0 => scaled(number, 1.0, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]),
        Unit::Seconds => scaled(number, 2.0, &[(YEAR, "years"), (86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")]),
    }
}

/// In the largest unit of which there are at least so many; in the smallest where there is none.
fn scaled(number: f64, least: f64, units: &[(f64, &str)]) -> String {
    let unit = units.iter().find(|(size, _)| number >= least * size).or(units.last());
    unit.map_or_else(String::new, |(size, name)| format!("{} {name}", digits(number / size)))
}

/// A number with as many digits as say something.
fn digits(number: f64) -> String {
    match number {
        number if number >= 1e6 => power(number),
        number if number >= 10.0 => thousands(number.round() as u64),
        number if number >= 1.0 => trimmed(format!("{number:.1}")),
        number => trimmed(format!("{number:.2}")),
    }
}

fn power(number: f64) -> String {
    let exponent = number.log10().floor();
    let factor = trimmed(format!("{:.1}", number / 10f64.powf(exponent)));
    if factor == "1" { format!("10^{exponent}") } else { format!("{factor} x 10^{exponent}") }
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn thousands(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1_000), number % 1_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_say_something() {
        let counts = [1e12, 2.5e10, 65_530.4, 12.4, 1.04, 0.126].map(|number| shown(Unit::Count, number));
        assert_eq!(counts, ["10^12", "2.5 x 10^10", "65,530", "12", "1", "0.13"]);
        assert_eq!([1.635e15, 57.8e6, 1.0].map(|number| shown(Unit::Bytes, number)), ["1.6 PB", "58 MB", "1 B"]);
        assert_eq!([2.0 * 31_536_000.0, 90.0, 0.25].map(|number| shown(Unit::Seconds, number)), ["2 years", "90 s", "250 ms"]);
    }

    #[test]
    fn partitions_are_bounded_by_the_leaders_session_and_by_each_nodes_second() {
        let (group, standbys) = most_partitions(&Costs::default(), 100.0);
        assert_eq!(group.floor(), 894.0); // the root of 6 / (3e-9 * 100), by 5
        assert_eq!(standbys.floor(), 80_000.0); // 1 / (25e-9 * 100), by 5
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        for table in tables().split("\n\n") {
            let cells: Vec<usize> = table.lines().map(|line| line.matches(" | ").count()).collect();
            assert!(cells.len() > 4 && cells.iter().all(|count| *count == cells[0]), "{table}");
        }
    }
}
