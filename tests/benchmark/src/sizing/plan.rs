//! What a load takes.

use super::{Load, costs::*};

/// What a load takes, part by part.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The brokers.
    pub broker: Broker,
    /// The nodes.
    pub node: Node,
    /// The database server.
    pub database: Database,
    /// The placement of partitions.
    pub placement: Placement,
    /// The times and resources for reading logs again.
    pub again: Again,
}

/// One broker.
#[derive(Clone, Copy, Debug)]
pub struct Broker {
    /// Bytes of logs.
    pub disk: f64,
    /// Bytes of logs that come in a day.
    pub daily: f64,
    /// Partitions, as leader or copy.
    pub partitions: f64,
    /// Partitions of the cluster, each copy counted.
    pub cluster_partitions: f64,
    /// Memory maps once every segment was read.
    pub maps: f64,
    /// The same where segments are begun by size only, not each week.
    pub maps_by_size: f64,
    /// Connections of nodes, at most.
    pub connections: f64,
    /// Bytes a second in, at the peak.
    pub incoming: f64,
    /// Bytes a second out, at the peak.
    pub outgoing: f64,
    /// Seconds in which a new broker has its copies.
    pub refill: f64,
}

/// One node.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Partitions that it owns.
    pub owned: f64,
    /// Bytes of memory for partitions and what it reads, at most.
    pub memory: f64,
    /// Bytes of snapshots.
    pub snapshots: f64,
    /// Seconds in which these are checked when all are opened.
    pub reopen: f64,
    /// Threads of the Kafka clients.
    pub threads: f64,
    /// The same while all its partitions begin.
    pub starting_threads: f64,
    /// Connections to other nodes, both ways.
    pub peers: f64,
    /// Open files while all its partitions begin.
    pub starting_files: f64,
    /// Processors at the peak.
    pub busy: f64,
}

/// The database server.
#[derive(Clone, Copy, Debug)]
pub struct Database {
    /// Connections, at most.
    pub connections: f64,
    /// Processors that the busiest database takes at the peak.
    pub busy: f64,
    /// Bytes of the audit's table, indexes aside.
    pub audit: f64,
}

/// The placement of partitions.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Seconds in which the group's leader places.
    pub placing: f64,
    /// Seconds of each second in which each node works out who stands by.
    pub standing_by: f64,
    /// Bytes of the group's record.
    pub group: f64,
    /// Bytes of the owners' topic, compacted.
    pub owners: f64,
    /// Bytes of the directory in each node.
    pub directory: f64,
}

/// The times and resources for reading logs again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Seconds of an owner without a snapshot, of a partition of the busiest log.
    pub partition: f64,
    /// Seconds of a node that has lost its disk, for all that it owns.
    pub node: f64,
    /// Seconds in which the audit's view is made anew.
    pub rebuild: f64,
    /// Threads of the program that does that.
    pub rebuild_threads: f64,
    /// Open files of that program.
    pub rebuild_files: f64,
    /// Processor hours in which every log is folded once.
    pub hours: f64,
}

impl Plan {
    /// What a load takes at these costs.
    pub fn of(costs: &Costs, load: &Load) -> Self {
        Self {
            broker: broker(costs, load),
            node: node(costs, load),
            database: database(costs, load),
            placement: placement(costs, load),
            again: again(costs, load),
        }
    }
}

fn broker(costs: &Costs, load: &Load) -> Broker {
    let copied = costs.record_bytes * load.copies / load.brokers;
    let (disk, partitions) = (load.events * copied, load.all_partitions() * load.copies / load.brokers);
    let by_size = (disk / SEGMENT).max(partitions);
    let segments = by_size.max(partitions * SEGMENTS_PER_YEAR * load.years);
    Broker {
        disk,
        daily: load.events_per_second() * copied * 86_400.0,
        partitions,
        cluster_partitions: partitions * load.brokers,
        maps: 2.0 * segments,
        maps_by_size: 2.0 * by_size,
        connections: CLIENTS * load.nodes,
        incoming: load.peak * copied,
        // To the other copies, to the readers, to the standbys.
        outgoing: load.peak * costs.record_bytes * (load.copies + load.followers()) / load.brokers,
        refill: disk / COPY_RATE,
    }
}

fn node(costs: &Costs, load: &Load) -> Node {
    let owned = load.all_partitions() / load.nodes;
    let held = owned * (1.0 + load.followers());
    let snapshots = load.events / EVENTS_PER_AGGREGATE * costs.snapshot_bytes * (1.0 + load.followers()) / load.nodes;
    let client = load.brokers + CLIENT_THREADS;
    let peers = 2.0 * load.services * (load.nodes - 1.0);
    let each = costs.command_seconds + load.followers() * costs.cold_seconds + ALL_ROWS * costs.row_seconds;
    Node {
        owned,
        memory: held * (partition_memory(costs, load) + RING * costs.ring_record_bytes),
        snapshots,
        reopen: snapshots / costs.check_rate,
        threads: CLIENTS * client,
        starting_threads: (CLIENTS + held) * client,
        peers,
        starting_files: peers + (CLIENTS + held) * client_files(load) + held + NODE_DATABASE_CONNECTIONS,
        busy: load.peak * each / load.nodes,
    }
}

/// Open files of a client that reads one partition.
fn client_files(load: &Load) -> f64 {
    load.brokers * CLIENT_BROKER_FILES + CLIENT_FILES
}

/// Bytes of what an owner or a standby keeps of one partition.
fn partition_memory(costs: &Costs, load: &Load) -> f64 {
    let live = (load.aggregates / load.all_partitions()).min(LIVE);
    let events = load.events / load.all_partitions();
    let recent = events.min(RECENT);
    let filters = costs.filter_bytes * (events / EVENTS_PER_AGGREGATE + events.min(REMEMBERED));
    live * costs.aggregate_bytes + recent * costs.command_bytes + filters + STORE_CACHE
}

fn database(costs: &Costs, load: &Load) -> Database {
    Database {
        connections: load.nodes * NODE_DATABASE_CONNECTIONS,
        busy: load.peak * BUSIEST_ROWS / costs.rows_per_lane,
        audit: load.events * costs.audit_row_bytes,
    }
}

fn placement(costs: &Costs, load: &Load) -> Placement {
    let (nodes, partitions) = (load.nodes, load.all_partitions());
    Placement {
        placing: costs.placing_seconds * nodes * partitions * partitions,
        standing_by: costs.standing_by_seconds * partitions * nodes,
        group: nodes * GROUP_MEMBER + partitions * GROUP_PARTITION,
        owners: partitions * OWNER_ENTRY,
        directory: partitions * DIRECTORY_ENTRY,
    }
}

fn again(costs: &Costs, load: &Load) -> Again {
    let partition = load.events * BUSIEST / load.partitions / costs.cold_rate;
    let lanes = REBUILD_LANES.min(load.database_processors).min(load.all_partitions());
    Again {
        partition,
        node: partition.max(load.events / load.nodes * costs.cold_seconds / load.processors),
        rebuild: load.events / (lanes * costs.rows_per_lane),
        rebuild_threads: load.all_partitions() * (load.brokers + CLIENT_THREADS),
        rebuild_files: load.all_partitions() * client_files(load),
        hours: load.events * costs.fold_seconds / 3_600.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Costs = Costs {
        record_bytes: 500.0,
        command_seconds: 200e-6,
        cold_rate: 50_000.0,
        cold_seconds: 20e-6,
        fold_seconds: 10e-6,
        rows_per_lane: 10_000.0,
        row_seconds: 10e-6,
        aggregate_bytes: 400.0,
        command_bytes: 100.0,
        snapshot_bytes: 800.0,
        filter_bytes: 1.0,
        check_rate: 1e9,
        ring_record_bytes: 1_000.0,
        audit_row_bytes: 600.0,
        placing_seconds: 2e-9,
        standing_by_seconds: 20e-9,
    };

    const LOAD: Load = Load {
        name: "by hand",
        events: 1.2e9,
        years: 2.0,
        peak: 8_000.0,
        aggregates: 8e6,
        nodes: 8.0,
        processors: 4.0,
        standbys: 1.0,
        services: 5.0,
        partitions: 16.0,
        brokers: 4.0,
        copies: 3.0,
        database_processors: 16.0,
    };

    fn near(is: f64, must: f64) {
        assert!((is / must - 1.0).abs() < 1e-9, "{is} where {must} was worked out by hand");
    }

    #[test]
    fn a_broker_has_its_part_of_all_copies() {
        let broker = Plan::of(&ROUND, &LOAD).broker;
        near(broker.disk, 450e9); // 1.2e9 * 500 * 3 / 4
        near(broker.partitions, 60.0); // 80 * 3 / 4
        near(broker.maps, 12_480.0); // by age: 60 partitions * 104 weeks * 2; by size it would be 2 * 419
        near(broker.maps_by_size, 900e9 / 1_073_741_824.0);
        near(broker.incoming, 3e6); // 8,000 * 500 * 3 / 4
        near(broker.outgoing, 4e6); // two copies, a reader, a standby
        near(broker.refill, 2_250.0);
    }

    #[test]
    fn large_partitions_have_segments_by_size() {
        let load = Load { events: 1.2e12, ..LOAD };
        near(Plan::of(&ROUND, &load).broker.maps, 2.0 * 450e12 / 1_073_741_824.0);
    }

    #[test]
    fn a_node_keeps_what_it_owns_and_what_it_follows() {
        let node = Plan::of(&ROUND, &LOAD).node;
        near(node.owned, 10.0);
        // 20 partitions of 100,000 * 400 + 100,000 * 100 + filters of 3.75e6 + 1e6 + 8 MiB, and a ring of 8,192 * 1,000 each
        near(node.memory, 20.0 * (54.75e6 + 8_388_608.0 + 8_192_000.0));
        near(node.snapshots, 60e9); // 0.3e9 aggregates * 800 * 2 / 8
        near(node.reopen, 60.0);
        near(node.threads, 96.0); // 12 * (4 + 4)
        near(node.starting_threads, 256.0); // 32 * 8
        near(node.peers, 70.0);
        near(node.starting_files, 586.0); // 70 + 32 * 14 + 20 + 48
        near(node.busy, 0.252); // 1,000 a second * (200 + 20 + 32) µs
    }

    #[test]
    fn a_single_node_has_nobody_to_follow_it() {
        let node = Plan::of(&ROUND, &Load { nodes: 1.0, ..LOAD }).node;
        near(node.snapshots, 240e9); // 0.3e9 aggregates * 800
        near(node.starting_threads, 736.0); // 92 * 8
    }

    #[test]
    fn memory_ends_where_the_bound_is() {
        let few = Load { aggregates: 8e5, ..LOAD };
        near(Plan::of(&ROUND, &LOAD).node.memory - Plan::of(&ROUND, &few).node.memory, 20.0 * 90_000.0 * 400.0);
        let many = Load { aggregates: 8e9, ..LOAD };
        near(Plan::of(&ROUND, &many).node.memory, Plan::of(&ROUND, &LOAD).node.memory);
    }

    #[test]
    fn placing_grows_with_the_square_of_the_partitions() {
        let placement = Plan::of(&ROUND, &LOAD).placement;
        near(placement.placing, 1.024e-4); // 2e-9 * 8 * 6,400
        near(placement.standing_by, 1.28e-5); // 20e-9 * 80 * 8
        near(placement.group, 5_384.0); // 8 * 553 + 80 * 12
        near(placement.owners, 13_200.0);
        near(Plan::of(&ROUND, &Load { partitions: 160.0, ..LOAD }).placement.placing, 1.024e-2);
    }

    #[test]
    fn what_is_read_again_is_bound_by_the_partition_the_processors_or_the_lanes() {
        let again = Plan::of(&ROUND, &LOAD).again;
        near(again.partition, 500.0); // 0.4e9 / 16 / 50,000
        near(again.node, 750.0); // 150e6 * 20 µs / 4
        near(again.rebuild, 15_000.0); // 1.2e9 / (8 * 10,000)
        near(again.rebuild_threads, 640.0); // 80 * 8
        near(again.rebuild_files, 1_120.0); // 80 * 14
        near(again.hours, 10.0 / 3.0);
        near(Plan::of(&ROUND, &Load { processors: 64.0, ..LOAD }).again.node, 500.0);
    }

    #[test]
    fn the_database_is_counted_by_its_busiest_part() {
        let database = Plan::of(&ROUND, &LOAD).database;
        near(database.connections, 384.0);
        near(database.busy, 1.12);
        near(database.audit, 720e9);
    }
}
