//! The measured costs of single operations and things, and the settings that are fixed in the code.

/// The costs of single operations and things, measured on two processors that brokers, databases and load shared; each field names its
/// source.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Bytes of a record in the log: key, value, headers, uncompressed. `performance.md`, Append.
    pub record_bytes: f64,
    /// Processor seconds of a command, broker and load included: 2 processors by 28,340/s. `performance.md`, POST, 128 at once.
    pub command_seconds: f64,
    /// Events a second of an owner without a snapshot, which saves snapshots meanwhile, where every second event makes an aggregate.
    /// `performance.md`, Replay, last row. It does not fall as the log grows: 366,000 over 10^7 events of Growth, whose aggregates have more.
    pub cold_rate: f64,
    /// Processor seconds of an event that is folded and saved, in the same log.
    pub cold_seconds: f64,
    /// Processor seconds of an event that is folded and not saved. `performance.md`, Replay, first row.
    pub fold_seconds: f64,
    /// Rows a second of one lane. It waits for one process of PostgreSQL, so for one processor at most. `performance.md`, Views.
    pub rows_per_lane: f64,
    /// Processor seconds of a row in the projector. `performance.md`, Views.
    pub row_seconds: f64,
    /// Bytes of an open order of two lines in memory. `memory.md`.
    pub aggregate_bytes: f64,
    /// Bytes of a remembered command id in memory. `memory.md`.
    pub command_bytes: f64,
    /// Bytes of an order in the snapshot file, its command id included, after its largest segments were merged. `memory.md`.
    pub snapshot_bytes: f64,
    /// Bytes of an aggregate, or of a command id, in the filters of a snapshot, which are in memory: 9.6 bits for one mistake in 100.
    pub filter_bytes: f64,
    /// Bytes of a snapshot file that are checked in a second when it is opened. Growth has 1.4 GB/s from the page cache; a good disk has less.
    pub check_rate: f64,
    /// Bytes of a record in a ring, its parsed headers included. Reckoned from the fields.
    pub ring_record_bytes: f64,
    /// Bytes of an audit row in its table, indexes aside. Reckoned from the columns.
    pub audit_row_bytes: f64,
    /// Processor seconds by which the group's leader places, for each member and each square of the group's partitions. Measured on
    /// librdkafka 2.12.1's cooperative-sticky assignor alone, 30 to 1,000 members, 1,000 to 5,000 partitions: 2.5 to 3.7 ns.
    pub placing_seconds: f64,
    /// Processor seconds by which a node works out who stands by, for each partition and each node. Measured on the function alone, 100 to
    /// 1,000 nodes: 21 to 27 ns.
    pub standing_by_seconds: f64,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            record_bytes: 545.0,
            command_seconds: 71e-6,
            cold_rate: 210_653.0,
            cold_seconds: 7.13e-6,
            fold_seconds: 4.27e-6,
            rows_per_lane: 55_002.0,
            row_seconds: 4.22e-6,
            aggregate_bytes: 462.0,
            command_bytes: 113.0,
            snapshot_bytes: 570.0,
            filter_bytes: 1.2,
            check_rate: 1e9,
            ring_record_bytes: 1_500.0,
            audit_row_bytes: 650.0,
            placing_seconds: 3e-9,
            standing_by_seconds: 25e-9,
        }
    }
}

/// Events for each aggregate: an order of two lines has twelve, in its own aggregate, its payment, its notification.
pub const EVENTS_PER_AGGREGATE: f64 = 4.0;
/// The part of all events that the busiest log has: products, four of an order's twelve.
pub const BUSIEST: f64 = 1.0 / 3.0;
/// Rows for each event in the busiest database, that of the orders: its own view's, deadlines, timeline.
pub const BUSIEST_ROWS: f64 = 1.4;
/// Rows for each event in all databases: those, the audit's, the other services' views.
pub const ALL_ROWS: f64 = 3.2;

/// `DAYBOOK_LIVE_AGGREGATES`, aggregates of a partition in memory.
pub const LIVE: f64 = 100_000.0;
/// `recent_commands`, command ids of a partition in memory.
pub const RECENT: f64 = 100_000.0;
/// `remembered_commands`, command ids of a partition in its snapshot.
pub const REMEMBERED: f64 = 1_000_000.0;
/// Records that a ring keeps.
pub const RING: f64 = 8_192.0;
/// Bytes of the cache of one snapshot file.
pub const STORE_CACHE: f64 = 8_388_608.0;
/// Clients of Kafka in a node with all roles: six producers, owners, two groups, two of the views' tail, the standbys' tail.
pub const CLIENTS: f64 = 12.0;
/// Threads of a client besides one for each broker: three of librdkafka's (counted on 1, 3 and 12 brokers) and ours that polls it.
pub const CLIENT_THREADS: f64 = 4.0;
/// Open files of a client for each broker, whether it talks to that or not. Counted on 1, 3 and 12 brokers.
pub const CLIENT_BROKER_FILES: f64 = 2.0;
/// Open files of a client of one partition besides: its wake-ups, a connection to the leader and one to the coordinator.
pub const CLIENT_FILES: f64 = 6.0;
/// Connections to PostgreSQL that a node may keep: 8 for each of 6 databases.
pub const NODE_DATABASE_CONNECTIONS: f64 = 48.0;
/// Connections to one database that a rebuild may keep.
pub const REBUILD_LANES: f64 = 8.0;
/// Bytes of one entry in the owners' topic, its batch included.
pub const OWNER_ENTRY: f64 = 165.0;
/// Bytes of one entry of the directory in a node's memory.
pub const DIRECTORY_ENTRY: f64 = 175.0;
/// Bytes of a member in the group's record, its partitions aside: names, subscription to five topics, what it owned, what it is given.
pub const GROUP_MEMBER: f64 = 553.0;
/// Bytes of a partition in the group's record: its number as owned, as owned before, as given.
pub const GROUP_PARTITION: f64 = 12.0;
/// Bytes of a segment (`segment.bytes`).
pub const SEGMENT: f64 = 1_073_741_824.0;
/// Segments that a partition begins in a year even where it is small: one a week (`segment.ms`).
pub const SEGMENTS_PER_YEAR: f64 = 52.0;
/// Bytes a second at which a broker's partitions are copied to another one, throttled so that the others are served meanwhile.
pub const COPY_RATE: f64 = 200e6;
