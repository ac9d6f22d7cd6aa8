//! The bytes in these tests were written by kafka-python 2.0.6.

use bytes::{Bytes, BytesMut};

use crate::api::ApiRequest;
use crate::{decode_request, encode_response};

mod requests;
mod responses;

fn unhex(hex: &str) -> Bytes {
    assert_eq!(hex.len() % 2, 0);
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
        .collect()
}

fn decoded<R: ApiRequest>(version: i16, hex: &str) -> R {
    decode_request::<R>(version, &mut unhex(hex)).unwrap()
}

/// A response's body in hexadecimal.
fn encoded<R: ApiRequest>(version: i16, response: &R::Response) -> String {
    let mut buffer = BytesMut::new();
    encode_response::<R>(version, 0, response, &mut buffer).unwrap();
    let correlation_id = buffer.split_to(4);
    assert_eq!(correlation_id.as_ref(), [0; 4]);
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}
