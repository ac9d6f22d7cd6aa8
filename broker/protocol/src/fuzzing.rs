//! Every request by its number, for the fuzz targets of `tests/fuzz`.

use bytes::Bytes;
use kafka_protocol::messages::*;

use crate::api::{ApiRequest, for_each_request, last_version};
use crate::{DecodeError, decode_request};

/// Decodes the body of a request of any API, and writes it again where the schema has the version; `None` for an API
/// that has no codec here.
pub fn decode(api_key: i16, api_version: i16, body: Bytes) -> Option<Result<(), DecodeError>> {
    ROWS.iter().find(|row| row.key == api_key).map(|row| (row.decode)(api_version, body))
}

/// An example of each version of each request, with its API key and version: all fields at their defaults.
pub fn examples() -> impl Iterator<Item = (i16, i16, Vec<u8>)> {
    ROWS.iter().flat_map(|row| {
        (0..=row.last).filter_map(|version| Some((row.key, version, (row.example)(version)?)))
    })
}

struct Row {
    key: i16,
    last: i16,
    decode: fn(i16, Bytes) -> Result<(), DecodeError>,
    example: fn(i16) -> Option<Vec<u8>>,
}

const fn row<R: ApiRequest + Default>() -> Row {
    Row { key: R::KEY, last: last_version::<R>(), decode: decode_as::<R>, example: example::<R> }
}

fn decode_as<R: ApiRequest>(version: i16, mut body: Bytes) -> Result<(), DecodeError> {
    let request: R = decode_request(version, &mut body)?;
    if version >= R::VERSIONS.min {
        // It may have fields that the version lacks in writing; that is an error and nothing worse.
        let _ = request.encode(&mut Vec::new(), version);
    }
    Ok(())
}

fn example<R: ApiRequest + Default>(version: i16) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    R::default().encode(&mut bytes, version).ok()?;
    Some(bytes)
}

macro_rules! rows {
    (current: $($current:ident)*; legacy: $($legacy:ident)*;) => {
        const ROWS: &[Row] = &[$(row::<$current>(),)* $(row::<$legacy>(),)*];
    };
}
for_each_request!(rows);
