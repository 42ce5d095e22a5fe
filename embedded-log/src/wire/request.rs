//! Requests: their headers, their bodies, and the answers to them.

use super::{
    shape::{self, Field},
    shapes,
};
use crate::varint::Reader;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages as kafka,
    protocol::{Decodable, Encodable, HeaderVersion},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a frame is no request that is answered. The connection is closed, as Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the frame has no request header")]
    Header,
    #[error("request {key} in version {version} is not offered")]
    NotOffered { key: i16, version: i16 },
    #[error("request {key} in version {version} is malformed")]
    Malformed { key: i16, version: i16 },
}

/// A request that is understood, and in which versions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub key: i16,
    pub min: i16,
    pub max: i16,
}

/// A request and what its answer must repeat.
#[derive(Debug)]
pub(crate) struct Received {
    pub correlation: i32,
    pub version: i16,
    pub client: String,
    pub request: Request,
}

/// Names each request once: its variant, Kafka's number for it, the versions that are offered, its type and its shape.
macro_rules! requests {
    ($($name:ident = $key:literal, $min:literal ..= $max:literal, $type:ident, $shape:ident;)*) => {
        /// A decoded request.
        #[derive(Debug)]
        #[allow(dead_code, reason = "nobody asks who a client of ApiVersions says that it is")]
        pub(crate) enum Request {
            $($name(kafka::$type),)*
            /// ApiVersions in a version that is not offered, which has an answer all the same.
            UnknownApiVersions,
        }

        /// The requests that are understood.
        pub(crate) const OFFERED: &[Offer] = &[$(Offer { key: $key, min: $min, max: $max }),*];

        fn shape_of(key: i16) -> &'static [Field] {
            match key {
                $($key => shapes::$shape,)*
                _ => &[],
            }
        }

        fn header_version(key: i16, version: i16) -> i16 {
            match key {
                $($key => kafka::$type::header_version(version),)*
                _ => 1,
            }
        }

        fn decode_body(key: i16, version: i16, body: &mut Bytes) -> Option<Request> {
            match key {
                $($key => kafka::$type::decode(body, version).ok().map(Request::$name),)*
                _ => None,
            }
        }
    };
}

requests! {
    Produce = 0, 3..=12, ProduceRequest, PRODUCE;
    Fetch = 1, 4..=12, FetchRequest, FETCH;
    ListOffsets = 2, 1..=10, ListOffsetsRequest, LIST_OFFSETS;
    Metadata = 3, 0..=13, MetadataRequest, METADATA;
    OffsetCommit = 8, 2..=9, OffsetCommitRequest, OFFSET_COMMIT;
    OffsetFetch = 9, 1..=9, OffsetFetchRequest, OFFSET_FETCH;
    FindCoordinator = 10, 0..=6, FindCoordinatorRequest, FIND_COORDINATOR;
    JoinGroup = 11, 0..=9, JoinGroupRequest, JOIN_GROUP;
    Heartbeat = 12, 0..=4, HeartbeatRequest, HEARTBEAT;
    LeaveGroup = 13, 0..=5, LeaveGroupRequest, LEAVE_GROUP;
    SyncGroup = 14, 0..=5, SyncGroupRequest, SYNC_GROUP;
    DescribeGroups = 15, 0..=6, DescribeGroupsRequest, DESCRIBE_GROUPS;
    ListGroups = 16, 0..=5, ListGroupsRequest, LIST_GROUPS;
    ApiVersions = 18, 0..=4, ApiVersionsRequest, API_VERSIONS;
    CreateTopics = 19, 2..=7, CreateTopicsRequest, CREATE_TOPICS;
    DeleteTopics = 20, 1..=6, DeleteTopicsRequest, DELETE_TOPICS;
    InitProducerId = 22, 0..=5, InitProducerIdRequest, INIT_PRODUCER_ID;
    OffsetForLeaderEpoch = 23, 2..=4, OffsetForLeaderEpochRequest, OFFSET_FOR_LEADER_EPOCH;
    DescribeConfigs = 32, 1..=4, DescribeConfigsRequest, DESCRIBE_CONFIGS;
    AlterConfigs = 33, 0..=2, AlterConfigsRequest, ALTER_CONFIGS;
    CreatePartitions = 37, 0..=3, CreatePartitionsRequest, CREATE_PARTITIONS;
    DeleteGroups = 42, 0..=2, DeleteGroupsRequest, DELETE_GROUPS;
    IncrementalAlterConfigs = 44, 0..=1, IncrementalAlterConfigsRequest, INCREMENTAL_ALTER_CONFIGS;
    OffsetDelete = 47, 0..=0, OffsetDeleteRequest, OFFSET_DELETE;
    DescribeCluster = 60, 0..=2, DescribeClusterRequest, DESCRIBE_CLUSTER;
}

/// The shape of a request, and whether it is flexible.
#[cfg(test)]
pub(super) fn shape_in(key: i16, version: i16) -> (&'static [Field], bool) {
    (shape_of(key), header_version(key, version) == 2)
}

const API_VERSIONS: i16 = 18;

/// The first fields of a request.
struct Head {
    key: i16,
    version: i16,
    correlation: i32,
    client: String,
}

impl Received {
    /// Decodes a frame.
    pub fn decode(frame: &Bytes) -> Result<Self, RequestError> {
        let mut reader = Reader::new(frame);
        let (head, is_flexible) = Head::read(&mut reader).ok_or(RequestError::Header)?;
        let Head { key, version, correlation, client } = head;
        let offer = OFFERED.iter().find(|offer| offer.key == key);
        let request = match offer {
            Some(offer) if (offer.min..=offer.max).contains(&version) => {
                let body = frame.slice(frame.len() - reader.rest().len()..);
                decode(key, version, is_flexible, body).ok_or(RequestError::Malformed { key, version })?
            }
            // A client that is newer than this server learns from the answer which versions to speak.
            Some(_) if key == API_VERSIONS => Request::UnknownApiVersions,
            _ => return Err(RequestError::NotOffered { key, version }),
        };
        Ok(Self { correlation, version, client, request })
    }
}

impl Head {
    /// Reads the header; also tells whether the request is in a flexible version.
    fn read(reader: &mut Reader<'_>) -> Option<(Self, bool)> {
        let key = i16::from_be_bytes(reader.array()?);
        let version = i16::from_be_bytes(reader.array()?);
        let correlation = i32::from_be_bytes(reader.array()?);
        let client = match i16::from_be_bytes(reader.array()?) {
            -1 => String::new(),
            length => String::from_utf8_lossy(reader.take(usize::try_from(length).ok()?)?).into_owned(),
        };
        let is_flexible = header_version(key, version) == 2;
        let is_offered = OFFERED.iter().any(|offer| offer.key == key && (offer.min..=offer.max).contains(&version));
        if is_flexible && is_offered {
            skip_tagged(reader)?;
        }
        Some((Self { key, version, correlation, client }, is_flexible))
    }
}

fn skip_tagged(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..reader.unsigned()? {
        reader.unsigned()?;
        let size = usize::try_from(reader.unsigned()?).ok()?;
        reader.take(size)?;
    }
    Some(())
}

fn decode(key: i16, version: i16, is_flexible: bool, mut body: Bytes) -> Option<Request> {
    if !shape::fits(&body, shape_of(key), version, is_flexible) {
        return None;
    }
    catch_unwind(AssertUnwindSafe(|| decode_body(key, version, &mut body))).ok().flatten()
}

/// Why an answer cannot be put into a version: it says something that the version has no words for, which is a bug here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("{0}")]
    Version(String),
    #[error("it is too long")]
    TooLong,
}

/// The frame of an answer, with its length.
pub(crate) fn encode<A: Encodable + HeaderVersion>(correlation: i32, version: i16, answer: &A) -> Result<Bytes, EncodeError> {
    let size = answer.compute_size(version).map_err(|error| EncodeError::Version(error.to_string()))?;
    let mut frame = BytesMut::with_capacity(size + 16);
    frame.put_i32(0);
    frame.put_i32(correlation);
    if A::header_version(version) > 0 {
        frame.put_u8(0);
    }
    answer.encode(&mut frame, version).map_err(|error| EncodeError::Version(error.to_string()))?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| EncodeError::TooLong)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{Numbers, frame};

    /// The shapes are written down by hand, and the decoder is generated from Kafka's own definitions: they must agree to the byte.
    #[test]
    fn the_shapes_are_those_of_the_decoder() {
        let mut numbers = Numbers::new(1);
        for offer in OFFERED {
            for version in offer.min..=offer.max {
                for round in 0..200 {
                    let body = crate::wire::sample::body(&mut numbers, offer.key, version);
                    let (mut rest, is_flexible) = (Bytes::from(body.clone()), header_version(offer.key, version) == 2);
                    assert!(shape::fits(&body, shape_of(offer.key), version, is_flexible));
                    let decoded = decode_body(offer.key, version, &mut rest);
                    assert!(decoded.is_some() && rest.is_empty(), "request {} in version {version}, round {round}: {body:?}", offer.key);
                }
            }
        }
    }

    #[test]
    fn a_list_that_announces_billions_of_elements_is_malformed() {
        // Metadata in version 1: a list of topics.
        let frame = Bytes::from_static(&[0, 3, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(Received::decode(&frame).expect_err("hostile"), RequestError::Malformed { key: 3, version: 1 });
    }

    #[test]
    fn what_is_not_offered_is_refused_but_for_a_newer_api_versions() {
        let of = |key, version| Received::decode(&frame(key, version, 7, &[]));
        assert_eq!(of(0, 2).expect_err("too old"), RequestError::NotOffered { key: 0, version: 2 });
        assert_eq!(of(999, 0).expect_err("unknown"), RequestError::NotOffered { key: 999, version: 0 });
        let newer = of(18, 99).expect("it has an answer");
        assert!(matches!(newer.request, Request::UnknownApiVersions) && newer.correlation == 7);
        assert_eq!(Received::decode(&Bytes::from_static(&[0, 3])).expect_err("cut off"), RequestError::Header);
    }
}
