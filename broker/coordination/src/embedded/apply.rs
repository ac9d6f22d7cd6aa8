//! What `kubectl apply` does, for files: makes what is missing, changes what differs, refuses what can never be.

use milena_crds::{KafkaCluster, KafkaTopic};

use super::{manifest::Manifest, store::Store};

/// Checks all manifests, then applies them in order; answers what changed, in words.
pub fn apply(store: &mut Store, manifests: &[Manifest]) -> Result<Vec<String>, String> {
    for manifest in manifests {
        if let Manifest::Topic(topic) = manifest {
            check_topic(store, manifests, topic)?;
        }
    }
    let mut changes = Vec::new();
    for manifest in manifests {
        match manifest {
            Manifest::Cluster(cluster) => changes.extend(apply_cluster(store, cluster)?),
            Manifest::Topic(topic) => changes.extend(apply_topic(store, topic)?),
        }
    }
    Ok(changes)
}

/// What CEL rules refuse in Kubernetes because the object exists already.
fn check_topic(store: &Store, manifests: &[Manifest], topic: &KafkaTopic) -> Result<(), String> {
    let name = topic.metadata.name.as_deref().unwrap_or_default();
    let applied = manifests.iter().find_map(|manifest| match manifest {
        Manifest::Cluster(cluster) => cluster.metadata.name.clone(),
        Manifest::Topic(_) => None,
    });
    let own = store.is_applied().then(|| store.cluster().metadata.name.clone()).flatten();
    if let Some(cluster) = applied.or(own).filter(|cluster| *cluster != topic.spec.cluster) {
        return Err(format!(
            "KafkaTopic {name}: spec.cluster is '{}'; allowed here: '{cluster}'",
            topic.spec.cluster
        ));
    }
    let Some(old) = store.topic(name) else { return Ok(()) };
    if old.topic_name() != topic.topic_name() {
        return Err(format!(
            "KafkaTopic {name}: spec.topicName cannot change from '{}' to '{}'",
            old.topic_name(),
            topic.topic_name()
        ));
    }
    if topic.spec.partitions < old.spec.partitions {
        return Err(format!(
            "KafkaTopic {name}: spec.partitions cannot shrink from {} to {}; allowed: {} or more",
            old.spec.partitions, topic.spec.partitions, old.spec.partitions
        ));
    }
    Ok(())
}

fn apply_cluster(store: &mut Store, cluster: &KafkaCluster) -> Result<Option<String>, String> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let new = !store.is_applied();
    store.rename_cluster(name).map_err(|refusal| refusal.message)?;
    if !new && store.cluster().spec == cluster.spec {
        return Ok(None);
    }
    store.put_cluster(cluster.spec.clone()).map_err(|error| error.to_string())?;
    Ok(Some(format!("kafkacluster/{name} {}", if new { "created" } else { "configured" })))
}

fn apply_topic(store: &mut Store, topic: &KafkaTopic) -> Result<Option<String>, String> {
    let name = topic.metadata.name.as_deref().unwrap_or_default();
    let mut spec = topic.spec.clone();
    spec.cluster = store.cluster().metadata.name.clone().unwrap_or_default();
    let Some(old) = store.topic(name) else {
        store.put_new_topic(name, spec).map_err(|error| error.to_string())?;
        return Ok(Some(format!("kafkatopic/{name} created")));
    };
    if old.spec == spec {
        return Ok(None);
    }
    let kafka_name = old.topic_name().to_owned();
    let changed = store.edit(&kafka_name, |object| {
        object.spec = spec;
        Ok(())
    });
    changed.map_err(|refusal| refusal.message)?;
    Ok(Some(format!("kafkatopic/{name} configured")))
}
