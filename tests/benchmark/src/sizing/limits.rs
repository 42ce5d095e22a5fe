//! The limits, and how much of each a load takes.

use super::{Load, costs::Costs, grown, plan::Plan};

/// A limit on something that a load takes.
#[derive(Clone, Copy)]
pub struct Limit {
    /// What is limited.
    pub what: &'static str,
    /// Who sets the limit.
    pub source: &'static str,
    /// The most.
    pub most: fn(&Load) -> f64,
    /// What a load takes.
    pub taken: fn(&Plan) -> f64,
    /// How both are shown.
    pub unit: Unit,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    Count,
    /// In bytes.
    Bytes,
    /// In seconds.
    Seconds,
}

impl Limit {
    /// How much of the limit a load takes; more than 1 is too much.
    pub fn share(&self, costs: &Costs, load: &Load) -> f64 {
        (self.taken)(&Plan::of(costs, load)) / (self.most)(load)
    }

    /// The number of nodes at which the limit is crossed on the way to the extreme, none up to there.
    pub fn crossed_at(&self, costs: &Costs) -> Option<u32> {
        (1..=1_000).find(|nodes| self.share(costs, &grown(f64::from(*nodes))) > 1.0)
    }
}

/// The limits and how much of each a load takes, the most exceeded first.
pub fn shares(costs: &Costs, load: &Load) -> Vec<(Limit, f64)> {
    let mut shares: Vec<(Limit, f64)> = LIMITS.iter().map(|limit| (*limit, limit.share(costs, load))).collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares
}

/// All limits, in the order of the crossings that have any.
pub fn crossings(costs: &Costs) -> Vec<(Limit, Option<u32>)> {
    let mut crossings: Vec<(Limit, Option<u32>)> = LIMITS.iter().map(|limit| (*limit, limit.crossed_at(costs))).collect();
    crossings.sort_by_key(|(_, nodes)| nodes.unwrap_or(u32::MAX));
    crossings
}

/// Limits that other systems set, and times beyond which an operator would hardly wait.
pub const LIMITS: [Limit; 16] = [
    Limit {
        what: "connections to PostgreSQL",
        source: "`max_connections` of `docker-compose.yml`",
        most: |_| 300.0,
        taken: |plan| plan.database.connections,
        unit: Unit::Count,
    },
    Limit {
        what: "open files of a node while it starts",
        source: "`ulimit -n`, as most systems have it",
        most: |_| 1_024.0,
        taken: |plan| plan.node.starting_files,
        unit: Unit::Count,
    },
    Limit {
        what: "processors of the busiest database, at the peak",
        source: "the server",
        most: |load| load.database_processors,
        taken: |plan| plan.database.busy,
        unit: Unit::Count,
    },
    Limit {
        what: "the audit's table",
        source: "a table of PostgreSQL",
        most: |_| 32.0 * 1_099_511_627_776.0,
        taken: |plan| plan.database.audit,
        unit: Unit::Bytes,
    },
    Limit {
        what: "time in which the group's leader places",
        source: "the session, after which the leader is put out",
        most: |_| 6.0,
        taken: |plan| plan.placement.placing,
        unit: Unit::Seconds,
    },
    Limit {
        what: "time of each second for who stands by",
        source: "one thread of each node",
        most: |_| 1.0,
        taken: |plan| plan.placement.standing_by,
        unit: Unit::Seconds,
    },
    Limit {
        what: "the group's record",
        source: "`message.max.bytes`",
        most: |_| 1_048_588.0,
        taken: |plan| plan.placement.group,
        unit: Unit::Bytes,
    },
    Limit {
        what: "memory maps of a broker",
        source: "`vm.max_map_count`",
        most: |_| 65_530.0,
        taken: |plan| plan.broker.maps,
        unit: Unit::Count,
    },
    Limit { what: "partitions of a broker", source: "KIP-578", most: |_| 4_000.0, taken: |plan| plan.broker.partitions, unit: Unit::Count },
    Limit {
        what: "partitions of the cluster, with copies",
        source: "KIP-578",
        most: |_| 200_000.0,
        taken: |plan| plan.broker.cluster_partitions,
        unit: Unit::Count,
    },
    Limit {
        what: "open files of a rebuild of the audit",
        source: "`ulimit -n`, as most systems have it",
        most: |_| 1_024.0,
        taken: |plan| plan.again.rebuild_files,
        unit: Unit::Count,
    },
    Limit {
        what: "threads of a rebuild of the audit",
        source: "`kernel.pid_max`, as the kernel has it",
        most: |_| 32_768.0,
        taken: |plan| plan.again.rebuild_threads,
        unit: Unit::Count,
    },
    Limit {
        what: "time in which a node checks its snapshots",
        source: "a minute without writes",
        most: |_| 60.0,
        taken: |plan| plan.node.reopen,
        unit: Unit::Seconds,
    },
    Limit {
        what: "time of an owner without a snapshot",
        source: "an hour without its partition",
        most: |_| 3_600.0,
        taken: |plan| plan.again.partition,
        unit: Unit::Seconds,
    },
    Limit {
        what: "time in which the audit is made anew",
        source: "a week",
        most: |_| 604_800.0,
        taken: |plan| plan.again.rebuild,
        unit: Unit::Seconds,
    },
    Limit {
        what: "time in which a broker is refilled",
        source: "a day with one copy less",
        most: |_| 86_400.0,
        taken: |plan| plan.broker.refill,
        unit: Unit::Seconds,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(what: &str) -> Limit {
        LIMITS.into_iter().find(|limit| limit.what.starts_with(what)).expect("there is such a limit")
    }

    #[test]
    fn the_seventh_node_is_one_too_many_for_the_database() {
        assert_eq!(named("connections").crossed_at(&Costs::default()), Some(7)); // 7 * 48 = 336
    }

    #[test]
    fn the_group_is_too_large_when_its_leader_takes_longer_than_a_session() {
        let placing = named("time in which the group's leader");
        let nodes = placing.crossed_at(&Costs::default()).map(f64::from).expect("it is crossed");
        // 3e-9 * n * (10 n)^2 > 6, so n^3 > 2e7
        assert!(nodes.powi(3) > 2e7 && (nodes - 1.0).powi(3) <= 2e7);
    }

    #[test]
    fn the_most_exceeded_comes_first_and_nothing_is_left_out() {
        let shares = shares(&Costs::default(), &grown(1_000.0));
        assert_eq!(shares.len(), LIMITS.len());
        assert!(shares.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }

    #[test]
    fn what_is_never_crossed_comes_last() {
        let crossings = crossings(&Costs::default());
        let never = crossings.iter().position(|(_, nodes)| nodes.is_none()).unwrap_or(crossings.len());
        assert!(crossings[never..].iter().all(|(_, nodes)| nodes.is_none()));
        assert!(crossings[..never].windows(2).all(|pair| pair[0].1 <= pair[1].1));
    }
}
