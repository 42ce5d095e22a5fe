//! The shapes of the requests that are understood, as Kafka defines them.

use super::shape::{Field, Kind, always, since, until};

const FLAG: Kind = Kind::Fixed(1);
const INT8: Kind = Kind::Fixed(1);
const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const ID: Kind = Kind::Fixed(16);
const TEXT: Kind = Kind::Text;
const NUMBERS: Kind = Kind::Values(&INT32);
const TEXTS: Kind = Kind::Values(&TEXT);

pub(super) const API_VERSIONS: &[Field] = &[since(3, TEXT), since(3, TEXT)];

pub(super) const METADATA: &[Field] =
    &[always(Kind::Structs(&[since(10, ID), always(TEXT)])), since(4, FLAG), Field { kind: FLAG, since: 8, until: 10 }, since(8, FLAG)];

pub(super) const PRODUCE: &[Field] = &[
    always(TEXT),
    always(INT16),
    always(INT32),
    always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(INT32), always(Kind::Blob)]))])),
];

const FETCH_PARTITION: &[Field] = &[always(INT32), since(9, INT32), always(INT64), since(12, INT32), since(5, INT64), always(INT32)];

pub(super) const FETCH: &[Field] = &[
    always(INT32),
    always(INT32),
    always(INT32),
    always(INT32),
    always(INT8),
    since(7, INT32),
    since(7, INT32),
    always(Kind::Structs(&[always(TEXT), always(Kind::Structs(FETCH_PARTITION))])),
    since(7, Kind::Structs(&[always(TEXT), always(NUMBERS)])),
    since(11, TEXT),
];

pub(super) const LIST_OFFSETS: &[Field] = &[
    always(INT32),
    since(2, INT8),
    always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(INT32), since(4, INT32), always(INT64)]))])),
    since(10, INT32),
];

pub(super) const OFFSET_FOR_LEADER_EPOCH: &[Field] =
    &[since(3, INT32), always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(INT32), always(INT32), always(INT32)]))]))];

const SETTING: &[Field] = &[always(TEXT), always(TEXT)];

pub(super) const CREATE_TOPICS: &[Field] = &[
    always(Kind::Structs(&[
        always(TEXT),
        always(INT32),
        always(INT16),
        always(Kind::Structs(&[always(INT32), always(NUMBERS)])),
        always(Kind::Structs(SETTING)),
    ])),
    always(INT32),
    always(FLAG),
];

pub(super) const DELETE_TOPICS: &[Field] = &[since(6, Kind::Structs(&[always(TEXT), always(ID)])), until(5, TEXTS), always(INT32)];

pub(super) const CREATE_PARTITIONS: &[Field] =
    &[always(Kind::Structs(&[always(TEXT), always(INT32), always(Kind::Structs(&[always(NUMBERS)]))])), always(INT32), always(FLAG)];

pub(super) const DESCRIBE_CONFIGS: &[Field] =
    &[always(Kind::Structs(&[always(INT8), always(TEXT), always(TEXTS)])), always(FLAG), since(3, FLAG)];

pub(super) const ALTER_CONFIGS: &[Field] =
    &[always(Kind::Structs(&[always(INT8), always(TEXT), always(Kind::Structs(SETTING))])), always(FLAG)];

pub(super) const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    always(Kind::Structs(&[always(INT8), always(TEXT), always(Kind::Structs(&[always(TEXT), always(INT8), always(TEXT)]))])),
    always(FLAG),
];

pub(super) const INIT_PRODUCER_ID: &[Field] = &[always(TEXT), always(INT32), since(3, INT64), since(3, INT16)];

pub(super) const FIND_COORDINATOR: &[Field] = &[until(3, TEXT), since(1, INT8), since(4, TEXTS)];

pub(super) const JOIN_GROUP: &[Field] = &[
    always(TEXT),
    always(INT32),
    since(1, INT32),
    always(TEXT),
    since(5, TEXT),
    always(TEXT),
    always(Kind::Structs(&[always(TEXT), always(Kind::Blob)])),
    since(8, TEXT),
];

pub(super) const SYNC_GROUP: &[Field] = &[
    always(TEXT),
    always(INT32),
    always(TEXT),
    since(3, TEXT),
    since(5, TEXT),
    since(5, TEXT),
    always(Kind::Structs(&[always(TEXT), always(Kind::Blob)])),
];

pub(super) const HEARTBEAT: &[Field] = &[always(TEXT), always(INT32), always(TEXT), since(3, TEXT)];

pub(super) const LEAVE_GROUP: &[Field] =
    &[always(TEXT), until(2, TEXT), since(3, Kind::Structs(&[always(TEXT), always(TEXT), since(5, TEXT)]))];

pub(super) const OFFSET_COMMIT: &[Field] = &[
    always(TEXT),
    always(INT32),
    always(TEXT),
    since(7, TEXT),
    until(4, INT64),
    always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(INT32), always(INT64), since(6, INT32), always(TEXT)]))])),
];

const OFFSETS_OF: &[Field] = &[always(TEXT), always(NUMBERS)];

pub(super) const OFFSET_FETCH: &[Field] = &[
    until(7, TEXT),
    until(7, Kind::Structs(OFFSETS_OF)),
    since(8, Kind::Structs(&[always(TEXT), since(9, TEXT), since(9, INT32), always(Kind::Structs(OFFSETS_OF))])),
    since(7, FLAG),
];

pub(super) const OFFSET_DELETE: &[Field] = &[always(TEXT), always(Kind::Structs(&[always(TEXT), always(Kind::Structs(&[always(INT32)]))]))];

pub(super) const LIST_GROUPS: &[Field] = &[since(4, TEXTS), since(5, TEXTS)];

pub(super) const DESCRIBE_GROUPS: &[Field] = &[always(TEXTS), since(3, FLAG)];

pub(super) const DELETE_GROUPS: &[Field] = &[always(TEXTS)];

pub(super) const DESCRIBE_CLUSTER: &[Field] = &[always(FLAG), since(1, INT8), since(2, FLAG)];
