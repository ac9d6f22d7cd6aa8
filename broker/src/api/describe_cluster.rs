//! DescribeCluster (KIP-700).

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, DescribeClusterRequest, DescribeClusterResponse,
        describe_cluster_response::DescribeClusterBroker,
    },
    protocol::StrBytes,
};

use super::{Call, endpoint, metadata::controller};

/// Endpoint type of brokers (KIP-919); there are no controllers to ask.
const BROKERS: i8 = 1;

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        let message = format!(
            "endpoint type {} is not served here: Milena has no controllers to connect to, ask brokers (type 1)",
            request.endpoint_type
        );
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::UnsupportedEndpointType.code())
            .with_error_message(Some(StrBytes::from_string(message)))
            .with_endpoint_type(BROKERS);
    }
    let view = call.broker.view();
    let shown =
        view.image.brokers.iter().filter(|(_, broker)| broker.alive || request.include_fenced_brokers);
    let brokers = shown
        .map(|(id, broker)| {
            let endpoint = endpoint::of(call, *id, broker);
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(*id))
                .with_host(endpoint.host)
                .with_port(endpoint.port)
                .with_rack(endpoint.rack)
                .with_is_fenced(!broker.alive)
        })
        .collect();
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(StrBytes::from_string(view.image.cluster_id.to_string()))
        .with_controller_id(controller(&view.image))
        .with_brokers(brokers)
}
