use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::*;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic() -> TopicName {
    text("t").into()
}

#[test]
fn produce() {
    let partition = PartitionProduceResponse::default()
        .with_index(3)
        .with_error_code(6)
        .with_base_offset(99)
        .with_log_append_time_ms(1_500_000_000_000)
        .with_log_start_offset(5);
    let topic = TopicProduceResponse::default().with_name(topic()).with_partition_responses(vec![partition]);
    let response = ProduceResponse::default().with_responses(vec![topic]).with_throttle_time_ms(7);
    let expected = [
        "00000001000174000000010000000300060000000000000063",
        "0000000100017400000001000000030006000000000000006300000007",
        "000000010001740000000100000003000600000000000000630000015d3ef7980000000007",
    ];
    for (version, expected) in (0..).zip(expected) {
        assert_eq!(encoded::<ProduceRequest>(version, &response), expected, "version {version}");
    }
}

#[test]
fn fetch() {
    let partition = |index, error, high_watermark, records| {
        PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_high_watermark(high_watermark)
            .with_last_stable_offset(1)
            .with_records(records)
    };
    let partitions = vec![partition(3, 1, 55, Some(Bytes::from_static(b"SET"))), partition(4, 0, 56, None)];
    let topic = FetchableTopicResponse::default().with_topic(topic()).with_partitions(partitions);
    let response = FetchResponse::default().with_responses(vec![topic]).with_throttle_time_ms(7);
    let version_0 = "0000000100017400000002000000030001000000000000003700000003534554000000040000000000000000003800000000";
    assert_eq!(encoded::<FetchRequest>(0, &response), version_0);
    for version in 1..=3 {
        assert_eq!(encoded::<FetchRequest>(version, &response), format!("00000007{version_0}"));
    }
}

#[test]
fn list_offsets() {
    let partition = |index, error, offset| {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_offset(offset)
    };
    let topic = ListOffsetsTopicResponse::default()
        .with_name(topic())
        .with_partitions(vec![partition(3, 0, 77), partition(4, 3, -1)]);
    let response = ListOffsetsResponse::default().with_topics(vec![topic]);
    let expected = "000000010001740000000200000003000000000001000000000000004d00000004000300000000";
    assert_eq!(encoded::<ListOffsetsRequest>(0, &response), expected);
}

#[test]
fn offset_commit() {
    let partition = OffsetCommitResponsePartition::default().with_partition_index(3).with_error_code(16);
    let topic = OffsetCommitResponseTopic::default().with_name(topic()).with_partitions(vec![partition]);
    let response = OffsetCommitResponse::default().with_topics(vec![topic]);
    for version in 0..=1 {
        let hex = encoded::<OffsetCommitRequest>(version, &response);
        assert_eq!(hex, "0000000100017400000001000000030010", "version {version}");
    }
}

#[test]
fn offset_fetch() {
    let partition = OffsetFetchResponsePartition::default()
        .with_partition_index(3)
        .with_committed_offset(42)
        .with_metadata(Some(text("meta")));
    let topic = OffsetFetchResponseTopic::default().with_name(topic()).with_partitions(vec![partition]);
    let response = OffsetFetchResponse::default().with_topics(vec![topic]);
    let expected = "000000010001740000000100000003000000000000002a00046d6574610000";
    assert_eq!(encoded::<OffsetFetchRequest>(0, &response), expected);
}

#[test]
fn offset_for_leader_epoch() {
    let partition = EpochEndOffset::default().with_partition(3).with_leader_epoch(9).with_end_offset(77);
    let topic = OffsetForLeaderTopicResult::default().with_topic(topic()).with_partitions(vec![partition]);
    let response = OffsetForLeaderEpochResponse::default().with_topics(vec![topic]);
    let encoded = |version| encoded::<OffsetForLeaderEpochRequest>(version, &response);
    assert_eq!(encoded(0), "0000000100017400000001000000000003000000000000004d");
    assert_eq!(encoded(1), "000000010001740000000100000000000300000009000000000000004d");
}

#[test]
fn create_topics() {
    let exists = CreatableTopicResult::default()
        .with_name(topic())
        .with_error_code(36)
        .with_error_message(Some(text("exists")));
    let created = CreatableTopicResult::default().with_name(text("u").into()).with_error_message(None);
    let one = CreateTopicsResponse::default().with_topics(vec![exists.clone()]).with_throttle_time_ms(7);
    let two = CreateTopicsResponse::default().with_topics(vec![exists, created]);
    assert_eq!(encoded::<CreateTopicsRequest>(0, &one), "000000010001740024");
    let version_1 = "00000002000174002400066578697374730001750000ffff";
    assert_eq!(encoded::<CreateTopicsRequest>(1, &two), version_1);
}

#[test]
fn delete_topics() {
    let topic = DeletableTopicResult::default().with_name(Some(topic())).with_error_code(3);
    let response = DeleteTopicsResponse::default().with_responses(vec![topic]).with_throttle_time_ms(7);
    assert_eq!(encoded::<DeleteTopicsRequest>(0, &response), "000000010001740003");
}

#[test]
fn describe_configs() {
    let config = |name, value, source, read_only, sensitive| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(value)
            .with_config_source(source)
            .with_read_only(read_only)
            .with_is_sensitive(sensitive)
    };
    let configs = vec![config("a", Some(text("1")), 5, false, false), config("b", None, 1, true, true)];
    let result = DescribeConfigsResult::default()
        .with_error_message(None)
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configs(configs);
    let response = DescribeConfigsResponse::default().with_results(vec![result]).with_throttle_time_ms(7);
    let expected = "00000007000000010000ffff0200017400000002000161000131000100000162ffff010001";
    assert_eq!(encoded::<DescribeConfigsRequest>(0, &response), expected);
}

#[test]
fn acls() {
    let description = AclDescription::default()
        .with_principal(text("User:a"))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3);
    let resource = DescribeAclsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_acls(vec![description]);
    let described = DescribeAclsResponse::default()
        .with_throttle_time_ms(7)
        .with_error_message(None)
        .with_resources(vec![resource]);
    let expected = "000000070000ffff0000000102000174000000010006557365723a6100012a0303";
    assert_eq!(encoded::<DescribeAclsRequest>(0, &described), expected);

    let result = AclCreationResult::default().with_error_message(None);
    let created = CreateAclsResponse::default().with_throttle_time_ms(7).with_results(vec![result]);
    assert_eq!(encoded::<CreateAclsRequest>(0, &created), "00000007000000010000ffff");

    let matching = DeleteAclsMatchingAcl::default()
        .with_error_message(None)
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_principal(text("User:a"))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3);
    let filter =
        DeleteAclsFilterResult::default().with_error_message(None).with_matching_acls(vec![matching]);
    let deleted = DeleteAclsResponse::default().with_throttle_time_ms(7).with_filter_results(vec![filter]);
    let expected = "00000007000000010000ffff000000010000ffff020001740006557365723a6100012a0303";
    assert_eq!(encoded::<DeleteAclsRequest>(0, &deleted), expected);
}
