//! InitProducerId: an id for an idempotent producer (KIP-98, KIP-360).

use kafka_protocol::{
    ResponseError,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
};

use super::Call;

/// Answers one request.
///
/// Ids are drawn at random from 2^63: no broker has to ask another, and none is handed out twice by any chance
/// that matters. A producer that raises its epoch gets a new id at epoch 0 instead, which fences as well: the
/// sequences of the old id end with it.
pub async fn handle(_call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |code: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    match request.transactional_id.as_ref().map(|id| id.as_str()) {
        None => {}
        Some("") => return refused(ResponseError::InvalidRequest),
        // Transactions are not offered: their other APIs are absent from ApiVersions.
        Some(_) => return refused(ResponseError::TransactionalIdAuthorizationFailed),
    }
    InitProducerIdResponse::default()
        .with_producer_id(ProducerId(rand::random_range(0..=i64::MAX)))
        .with_producer_epoch(0)
        .with_ongoing_txn_producer_id(ProducerId(-1))
        .with_ongoing_txn_producer_epoch(-1)
}
