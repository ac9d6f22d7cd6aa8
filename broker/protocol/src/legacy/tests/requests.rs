use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
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
    let hex = "000100002710000000010001740000000200000003000000035345540000000400000000";
    let partition = |index, records| {
        PartitionProduceData::default().with_index(index).with_records(Some(Bytes::from_static(records)))
    };
    let partitions = vec![partition(3, b"SET"), partition(4, b"")];
    let expected = ProduceRequest::default().with_acks(1).with_timeout_ms(10000).with_topic_data(vec![
        TopicProduceData::default().with_name(topic()).with_partition_data(partitions),
    ]);
    for version in 0..=2 {
        let request: ProduceRequest = decoded(version, hex);
        assert_eq!(request, expected, "version {version}");
        assert_eq!(request.transactional_id, None);
    }
}

#[test]
fn fetch() {
    let partition = FetchPartition::default()
        .with_partition(3)
        .with_fetch_offset(1_234_567_890_123)
        .with_partition_max_bytes(65536);
    let expected = FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_topics(vec![FetchTopic::default().with_topic(topic()).with_partitions(vec![partition])]);
    let hex = "ffffffff000001f4000000010000000100017400000001000000030000011f71fb04cb00010000";
    for version in 0..=2 {
        assert_eq!(decoded::<FetchRequest>(version, hex), expected, "version {version}");
    }
    assert_eq!(expected.max_bytes, i32::MAX, "of before there was a limit");
    let hex = "ffffffff000001f400000001000f42400000000100017400000001000000030000011f71fb04cb00010000";
    assert_eq!(decoded::<FetchRequest>(3, hex), expected.with_max_bytes(1_000_000));
}

#[test]
fn list_offsets() {
    let hex =
        "ffffffff000000010001740000000200000003fffffffffffffffe00000001000000040000015d3ef7980000000005";
    let partition = |index, timestamp| {
        ListOffsetsPartition::default().with_partition_index(index).with_timestamp(timestamp)
    };
    let partitions = vec![partition(3, -2), partition(4, 1_500_000_000_000)];
    let expected = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![ListOffsetsTopic::default().with_name(topic()).with_partitions(partitions)]);
    assert_eq!(decoded::<ListOffsetsRequest>(0, hex), expected);
}

#[test]
fn offset_commit() {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(3)
        .with_committed_offset(42)
        .with_committed_metadata(Some(text("meta")));
    let topic = OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(vec![partition]);
    let expected = OffsetCommitRequest::default().with_group_id(text("g").into()).with_topics(vec![topic]);
    let version_0 = "000167000000010001740000000100000003000000000000002a00046d657461";
    assert_eq!(decoded::<OffsetCommitRequest>(0, version_0), expected);
    assert_eq!(expected.generation_id_or_member_epoch, -1, "of no member of a group");
    assert_eq!(expected.retention_time_ms, -1, "the broker's own");
    let version_1 =
        "000167ffffffff0000000000010001740000000100000003000000000000002a0000000059682f0000046d657461";
    assert_eq!(decoded::<OffsetCommitRequest>(1, version_1), expected);
}

#[test]
fn offset_fetch() {
    let hex = "00016700000001000174000000020000000300000004";
    let topic = OffsetFetchRequestTopic::default().with_name(topic()).with_partition_indexes(vec![3, 4]);
    let expected =
        OffsetFetchRequest::default().with_group_id(text("g").into()).with_topics(Some(vec![topic]));
    assert_eq!(decoded::<OffsetFetchRequest>(0, hex), expected);
}

#[test]
fn offset_for_leader_epoch() {
    let hex = "00000001000174000000010000000300000009";
    let partition = OffsetForLeaderPartition::default().with_partition(3).with_leader_epoch(9);
    let topic = OffsetForLeaderTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    let expected = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    for version in 0..=1 {
        assert_eq!(decoded::<OffsetForLeaderEpochRequest>(version, hex), expected);
    }
    assert_eq!(expected.topics[0].partitions[0].current_leader_epoch, -1, "not checked");
}

#[test]
fn create_topics() {
    let version_0 = "00000001000174ffffffffffff000000010000000000000002000000010000000200000001000c726574656e74696f6e2e6d7300043130303000007530";
    let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
    let config =
        CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("1000")));
    let topic = CreatableTopic::default()
        .with_name(topic())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment])
        .with_configs(vec![config]);
    let expected = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30000);
    assert_eq!(decoded::<CreateTopicsRequest>(0, version_0), expected);
    let version_1 = format!("{version_0}01");
    assert_eq!(decoded::<CreateTopicsRequest>(1, &version_1), expected.with_validate_only(true));
}

#[test]
fn delete_topics() {
    let expected = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic(), text("u").into()])
        .with_timeout_ms(30000);
    assert_eq!(decoded::<DeleteTopicsRequest>(0, "0000000200017400017500007530"), expected);
}

#[test]
fn describe_configs() {
    let hex = "000000020200017400000001000c726574656e74696f6e2e6d7304000131ffffffff";
    let resource = |kind, name, keys| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys)
    };
    let expected = DescribeConfigsRequest::default()
        .with_resources(vec![resource(2, "t", Some(vec![text("retention.ms")])), resource(4, "1", None)]);
    assert_eq!(decoded::<DescribeConfigsRequest>(0, hex), expected);
}

#[test]
fn acls() {
    let describe = DescribeAclsRequest::default()
        .with_resource_type_filter(2)
        .with_resource_name_filter(Some(text("t")))
        .with_pattern_type_filter(3)
        .with_principal_filter(None)
        .with_host_filter(Some(text("*")))
        .with_operation(3)
        .with_permission_type(3);
    assert_eq!(decoded::<DescribeAclsRequest>(0, "02000174ffff00012a0303"), describe);

    let creation = AclCreation::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_resource_pattern_type(3)
        .with_principal(text("User:a"))
        .with_host(text("*"))
        .with_operation(3)
        .with_permission_type(3);
    let create: CreateAclsRequest = decoded(0, "00000001020001740006557365723a6100012a0303");
    assert_eq!(create, CreateAclsRequest::default().with_creations(vec![creation]));

    let filter = DeleteAclsFilter::default()
        .with_resource_type_filter(2)
        .with_resource_name_filter(Some(text("t")))
        .with_pattern_type_filter(3)
        .with_principal_filter(None)
        .with_host_filter(Some(text("*")))
        .with_operation(1)
        .with_permission_type(1);
    let delete: DeleteAclsRequest = decoded(0, "0000000102000174ffff00012a0101");
    assert_eq!(delete, DeleteAclsRequest::default().with_filters(vec![filter]));
}
