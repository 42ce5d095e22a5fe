//! Kafka's protocol by hand, for what no client would send.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses a part of this")]

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiKey, RequestHeader, ResponseHeader},
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A request with its length.
pub fn frame(key: ApiKey, version: i16, correlation: i32, body: &impl Encodable) -> Vec<u8> {
    let header = RequestHeader::default().with_request_api_key(key as i16).with_request_api_version(version);
    let header = header.with_correlation_id(correlation).with_client_id(Some(StrBytes::from_static_str("test")));
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    header.encode(&mut bytes, key.request_header_version(version)).expect("a header");
    body.encode(&mut bytes, version).expect("a body");
    let length = bytes.len() as i32 - 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.to_vec()
}

/// A connection whose reads fail after a while.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    stream
}

/// Sends a frame and returns the answer's body, or none if the connection is closed instead.
pub fn ask(stream: &mut TcpStream, frame: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(frame).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// Sends a request and returns the answer.
pub fn call<R: Request>(stream: &mut TcpStream, version: i16, request: &R) -> R::Response {
    let key = ApiKey::try_from(R::KEY).expect("a request that there is");
    let mut answer = Bytes::from(ask(stream, &frame(key, version, 7, request)).expect("an answer"));
    let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, 7);
    let response = R::Response::decode(&mut answer, version).expect("an answer of this kind");
    assert!(answer.is_empty(), "there are bytes behind it");
    response
}
