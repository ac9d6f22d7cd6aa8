//! Texts and error codes between the protocol and the groups.

use kafka_protocol::protocol::StrBytes;
use milena_groups::Error;

/// A text as answers have it.
pub fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A text that may be null.
pub fn nullable(text: Option<String>) -> Option<StrBytes> {
    text.map(StrBytes::from_string)
}

/// A text of a request that may be null.
pub fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// Kafka's code, 0 for no error.
pub fn code(error: Option<Error>) -> i16 {
    error.map_or(0, Error::code)
}
