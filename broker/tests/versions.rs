//! Every version of every API that is offered is answered in a form that its clients can read, for things that
//! there are and for things that there are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kafka_protocol::{
    ResponseError,
    messages::{
        create_topics_request::CreatableTopic, fetch_request::*, list_offsets_request::*,
        offset_for_leader_epoch_request::*, produce_request::*, *,
    },
    protocol::{Encodable, Message, Request, StrBytes},
};
use milena_records::BatchBuilder;
use support::{Client, Process};
use uuid::Uuid;

fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

/// The versions that the broker says it serves.
fn served(client: &mut Client) -> Vec<(i16, i16, i16)> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    let answer = client.ask(4, &request);
    assert_eq!(answer.error_code, 0);
    answer.api_keys.iter().map(|row| (row.api_key, row.min_version, row.max_version)).collect()
}

/// Runs `check` in every version that broker and schema have in common.
fn each_version<R: Request + Message + Encodable>(served: &[(i16, i16, i16)], mut check: impl FnMut(i16)) {
    let (_, min, max) = served.iter().find(|(key, _, _)| *key == R::KEY).expect("not served");
    for version in (*min).max(R::VERSIONS.min)..=*max {
        check(version);
    }
}

fn create(client: &mut Client, topic: &'static str) -> Uuid {
    let asked =
        CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(5_000);
    let answer = client.ask(7, &request);
    assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    answer.topics[0].topic_id
}

fn batch() -> bytes::Bytes {
    let mut builder = BatchBuilder::new(0);
    builder.append(1_000, Some(b"key"), Some(b"value"), &[]).unwrap();
    builder.build().unwrap()
}

#[test]
fn data_apis_answer_in_every_version() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let served = served(&mut client);
    let id = create(&mut client, "sample");
    for (topic, id, exists) in [("sample", id, true), ("missing", Uuid::from_u128(7), false)] {
        each_version::<ProduceRequest>(&served, |version| {
            let data = PartitionProduceData::default().with_records(Some(batch()));
            let topic = match version {
                13.. => TopicProduceData::default().with_topic_id(id),
                _ => TopicProduceData::default().with_name(name(topic)),
            };
            let request = ProduceRequest::default()
                .with_acks(-1)
                .with_timeout_ms(1_000)
                .with_topic_data(vec![topic.with_partition_data(vec![data])]);
            let answer = client.ask(version, &request);
            let code = answer.responses[0].partition_responses[0].error_code;
            assert_eq!(code == 0, exists, "version {version}: {code}");
        });
        each_version::<FetchRequest>(&served, |version| {
            for offset in [0, 1_000_000] {
                let asked =
                    FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
                let topic = match version {
                    13.. => FetchTopic::default().with_topic_id(id),
                    _ => FetchTopic::default().with_topic(name(topic)),
                };
                let request = FetchRequest::default()
                    .with_max_wait_ms(1)
                    .with_max_bytes(1 << 20)
                    .with_topics(vec![topic.with_partitions(vec![asked])]);
                let answer = client.ask(version, &request);
                let code = answer.responses[0].partitions[0].error_code;
                assert_eq!(code == 0, exists && offset == 0, "version {version}: {code}");
            }
        });
        each_version::<ListOffsetsRequest>(&served, |version| {
            for time in [-1, -2, 500] {
                let asked = ListOffsetsPartition::default().with_timestamp(time);
                let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![asked]);
                let request = ListOffsetsRequest::default().with_topics(vec![topic]);
                let code = client.ask(version, &request).topics[0].partitions[0].error_code;
                assert_eq!(code == 0, exists, "version {version}: {code}");
            }
        });
        each_version::<OffsetForLeaderEpochRequest>(&served, |version| {
            let asked = OffsetForLeaderPartition::default();
            let topic = OffsetForLeaderTopic::default().with_topic(name(topic)).with_partitions(vec![asked]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let code = client.ask(version, &request).topics[0].partitions[0].error_code;
            assert_eq!(code == 0, exists, "version {version}: {code}");
        });
    }
}

#[test]
fn administrators_apis_answer_in_every_version() {
    let broker = Process::start(&["--config", "auto.create.topics.enable=false"]);
    let mut client = broker.connect();
    let served = served(&mut client);
    create(&mut client, "sample");
    each_version::<MetadataRequest>(&served, |version| {
        for topic in ["sample", "missing", "not/legal"] {
            let asked = metadata_request::MetadataRequestTopic::default().with_name(Some(name(topic)));
            let request = MetadataRequest::default()
                .with_topics(Some(vec![asked]))
                .with_allow_auto_topic_creation(version < 4);
            let answer = client.ask(version, &request);
            assert_eq!(answer.brokers.len(), 1);
            assert_eq!(answer.topics[0].error_code == 0, topic == "sample", "version {version}");
        }
    });
    each_version::<CreateTopicsRequest>(&served, |version| {
        let replicas = |replicas| {
            let asked = CreatableTopic::default().with_name(name("other")).with_num_partitions(1);
            vec![asked.with_replication_factor(replicas)]
        };
        let twice = CreateTopicsRequest::default().with_topics(replicas(3)).with_timeout_ms(1_000);
        let code = client.ask(version, &twice).topics[0].error_code;
        assert_eq!(code, ResponseError::InvalidReplicationFactor.code(), "version {version}");
        let valid = twice.with_topics(replicas(1)).with_validate_only(true);
        assert_eq!(client.ask(version, &valid).topics[0].error_code, 0, "version {version}");
    });
    each_version::<CreatePartitionsRequest>(&served, |version| {
        let topic = create_partitions_request::CreatePartitionsTopic::default().with_name(name("sample"));
        let request = CreatePartitionsRequest::default().with_topics(vec![topic.with_count(1)]);
        let code = client.ask(version, &request).results[0].error_code;
        assert_eq!(code, ResponseError::InvalidPartitions.code(), "version {version}");
    });
    each_version::<DeleteRecordsRequest>(&served, |version| {
        let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(9);
        let topic = delete_records_request::DeleteRecordsTopic::default().with_name(name("sample"));
        let request =
            DeleteRecordsRequest::default().with_topics(vec![topic.with_partitions(vec![partition])]);
        let code = client.ask(version, &request).topics[0].partitions[0].error_code;
        assert_eq!(code, ResponseError::OffsetOutOfRange.code(), "version {version}");
    });
    each_version::<InitProducerIdRequest>(&served, |version| {
        let answer = client.ask(version, &InitProducerIdRequest::default().with_transactional_id(None));
        assert!(answer.error_code == 0 && answer.producer_id.0 >= 0, "version {version}");
    });
    each_version::<DescribeLogDirsRequest>(&served, |version| {
        let answer = client.ask(version, &DescribeLogDirsRequest::default().with_topics(None));
        assert_eq!(answer.results[0].topics.len(), 1, "version {version}");
    });
    each_version::<AlterReplicaLogDirsRequest>(&served, |version| {
        let topic = alter_replica_log_dirs_request::AlterReplicaLogDirTopic::default()
            .with_name(name("sample"))
            .with_partitions(vec![0]);
        let dir = alter_replica_log_dirs_request::AlterReplicaLogDir::default()
            .with_path(StrBytes::from_static_str("/nowhere"))
            .with_topics(vec![topic]);
        let answer = client.ask(version, &AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]));
        assert_eq!(answer.results[0].partitions[0].error_code, 57, "version {version}");
    });
    each_version::<DescribeClusterRequest>(&served, |version| {
        let answer = client.ask(version, &DescribeClusterRequest::default());
        assert_eq!((answer.error_code, answer.brokers.len()), (0, 1), "version {version}");
    });
    each_version::<DescribeTopicPartitionsRequest>(&served, |version| {
        let topics = ["sample", "missing"]
            .map(|topic| describe_topic_partitions_request::TopicRequest::default().with_name(name(topic)));
        let request = DescribeTopicPartitionsRequest::default().with_topics(topics.to_vec());
        let answer = client.ask(version, &request.with_response_partition_limit(10));
        let codes: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [ResponseError::UnknownTopicOrPartition.code(), 0], "version {version}");
    });
    each_version::<ListPartitionReassignmentsRequest>(&served, |version| {
        let answer = client.ask(version, &ListPartitionReassignmentsRequest::default());
        assert_eq!(answer.error_code, 0, "version {version}");
    });
    each_version::<DeleteTopicsRequest>(&served, |version| {
        let missing = name("missing");
        let request = match version {
            6.. => DeleteTopicsRequest::default().with_topics(vec![
                delete_topics_request::DeleteTopicState::default().with_name(Some(missing)),
            ]),
            _ => DeleteTopicsRequest::default().with_topic_names(vec![missing]),
        };
        let code = client.ask(version, &request).responses[0].error_code;
        assert_eq!(code, ResponseError::UnknownTopicOrPartition.code(), "version {version}");
    });
}

#[test]
fn settings_apis_answer_in_every_version() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let served = served(&mut client);
    create(&mut client, "sample");
    let text = StrBytes::from_static_str;
    each_version::<DescribeConfigsRequest>(&served, |version| {
        for (kind, resource, known) in
            [(2, "sample", true), (2, "missing", false), (4, "0", true), (8, "0", false)]
        {
            let asked = describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(text(resource))
                .with_configuration_keys(None);
            let request = DescribeConfigsRequest::default()
                .with_resources(vec![asked])
                .with_include_synonyms(true)
                .with_include_documentation(version >= 3);
            let result = &client.ask(version, &request).results[0];
            assert_eq!(result.error_code == 0, known, "version {version}, {kind} {resource}");
            assert_eq!(result.configs.is_empty(), !known);
        }
    });
    each_version::<IncrementalAlterConfigsRequest>(&served, |version| {
        for (setting, value, legal) in
            [("retention.ms", "5", true), ("retention.ms", "soon", false), ("none", "5", false)]
        {
            let config = incremental_alter_configs_request::AlterableConfig::default()
                .with_name(text(setting))
                .with_value(Some(text(value)));
            let resource = incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("sample"))
                .with_configs(vec![config]);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            let answer = client.ask(version, &request);
            assert_eq!(answer.responses[0].error_code == 0, legal, "version {version}: {answer:?}");
        }
    });
    each_version::<AlterConfigsRequest>(&served, |version| {
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("missing"));
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let code = client.ask(version, &request).responses[0].error_code;
        assert_eq!(code, ResponseError::UnknownTopicOrPartition.code(), "version {version}");
    });
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let answer = client.exchange(18, 4, &[]);
    assert!(answer.is_none(), "a body that does not follow the schema ends the connection");
    let mut client = broker.connect();
    let mut body = client.exchange(ApiKey::ApiVersions as i16, 99, &[1, 2, 3]).unwrap();
    let answer: ApiVersionsResponse = kafka_protocol::protocol::Decodable::decode(&mut body, 0).unwrap();
    assert_eq!(answer.error_code, ResponseError::UnsupportedVersion.code());
    assert!(answer.api_keys.iter().any(|row| row.api_key == 18 && row.max_version == 4));
    assert!(!served(&mut client).is_empty(), "the connection goes on");
}
