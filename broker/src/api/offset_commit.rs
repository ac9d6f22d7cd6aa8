//! OffsetCommit: how far a group has consumed.

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetCommitRequest, OffsetCommitResponse,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
};
use milena_groups::{
    Error, Response,
    offsets::{CommitPartition, CommitRequest, CommitTopic, CommittedTopic},
};

use super::{
    Call,
    group_text::{code, owned},
};
use crate::node::View;

/// From this version on GROUP_ID_NOT_FOUND is understood (KIP-848).
const KNOWS_GROUP_ID_NOT_FOUND: i16 = 9;
/// The retention of a client that does not choose one.
const DEFAULT_RETENTION: i64 = -1;

/// Answers one request.
pub async fn handle(call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let view = call.broker.view();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let (known, answer) = split(&view, topic);
        topics.extend(known);
        answers.push(answer);
    }
    let commit = CommitRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        group_instance_id: owned(request.group_instance_id),
        retention_time_ms: Some(request.retention_time_ms).filter(|ms| *ms != DEFAULT_RETENTION),
        knows_group_id_not_found: call.head.api_version >= KNOWS_GROUP_ID_NOT_FOUND,
        topics,
    };
    fill(&mut answers, commit_to(call, commit).await);
    OffsetCommitResponse::default().with_topics(answers)
}

async fn commit_to(call: &Call, commit: CommitRequest) -> Result<Vec<CommittedTopic>, Error> {
    if commit.topics.is_empty() {
        return Ok(Vec::new());
    }
    let group_id = commit.group_id.clone();
    let committed = call
        .broker
        .groups
        .ask(&call.broker, &group_id, |coordinator, token, now_ms, effects| {
            coordinator.commit(commit, token, now_ms, effects);
        })
        .await?;
    match committed {
        Response::Commit(outcome) => outcome,
        _ => Err(Error::UnknownServerError),
    }
}

/// The offsets of partitions that exist, and the answer as it is without them: those that do not are refused.
fn split(view: &View, topic: OffsetCommitRequestTopic) -> (Option<CommitTopic>, OffsetCommitResponseTopic) {
    let known = view.image.topic(&topic.name);
    let exists = |index| known.is_some_and(|known| known.partition(index).is_some());
    let answer = |partition: &OffsetCommitRequestPartition| {
        let index = partition.partition_index;
        let code = if exists(index) { 0 } else { ResponseError::UnknownTopicOrPartition.code() };
        OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
    };
    let answers = OffsetCommitResponseTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(topic.partitions.iter().map(answer).collect());
    let partitions: Vec<CommitPartition> = topic
        .partitions
        .into_iter()
        .filter(|partition| exists(partition.partition_index))
        .map(|partition| CommitPartition {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: owned(partition.committed_metadata),
            commit_timestamp_ms: None,
        })
        .collect();
    let commit =
        CommitTopic { name: topic.name.to_string(), topic_id: known.map(|known| known.id), partitions };
    (Some(commit).filter(|commit| !commit.partitions.is_empty()), answers)
}

/// Puts the outcome into the answers of the partitions that were handed on, which are in the same order.
fn fill(answers: &mut [OffsetCommitResponseTopic], outcome: Result<Vec<CommittedTopic>, Error>) {
    let handed_on = answers
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.error_code == 0);
    match outcome {
        Err(error) => handed_on.for_each(|partition| partition.error_code = error.code()),
        Ok(topics) => {
            let outcomes = topics.into_iter().flat_map(|topic| topic.partitions);
            for (partition, (_, error)) in handed_on.zip(outcomes) {
                partition.error_code = code(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(codes: &[i16]) -> OffsetCommitResponseTopic {
        let partition = |code: &i16| OffsetCommitResponsePartition::default().with_error_code(*code);
        OffsetCommitResponseTopic::default().with_partitions(codes.iter().map(partition).collect())
    }

    fn codes(answers: &[OffsetCommitResponseTopic]) -> Vec<i16> {
        answers.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).collect()
    }

    #[test]
    fn outcomes_go_to_the_partitions_that_exist() {
        let mut answers = [answer(&[3, 0]), answer(&[3]), answer(&[0, 0])];
        let too_large = Some(Error::OffsetMetadataTooLarge);
        let outcome = vec![
            CommittedTopic { name: "a".to_owned(), partitions: vec![(1, too_large)] },
            CommittedTopic { name: "c".to_owned(), partitions: vec![(0, None), (1, too_large)] },
        ];
        fill(&mut answers, Ok(outcome));
        assert_eq!(codes(&answers), [3, 12, 3, 0, 12]);
    }

    #[test]
    fn an_error_of_the_group_leaves_the_others_their_own() {
        let mut answers = [answer(&[3, 0]), answer(&[0])];
        fill(&mut answers, Err(Error::IllegalGeneration));
        assert_eq!(codes(&answers), [3, 22, 22]);
    }
}
