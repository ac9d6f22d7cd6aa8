//! Which settings are in force: those that a running broker takes are the KafkaCluster's of now, the others those that it
//! was started with; what the command line says goes before both.

use std::collections::BTreeSet;

use milena_crds::settings::{Config, Effect, Update, broker_setting};
use tracing::warn;

use crate::{cluster::ClusterImage, config::Values};

/// The settings of a start, over which those of the KafkaCluster are laid.
pub struct Layers {
    file: Values,
    given: Values,
    /// Settings that wait for a restart, of which that was said.
    waiting: BTreeSet<String>,
}

impl Layers {
    /// The settings in the file that the operator wrote, and those of the command line.
    pub fn new(file: Values, given: Values) -> Layers {
        Layers { file, given, waiting: BTreeSet::new() }
    }

    /// The settings in force.
    pub fn in_force(&self, image: &ClusterImage) -> Values {
        if image.cluster_id.is_empty() {
            // No KafkaCluster was ever seen: that says nothing about its settings.
            return self.file.with(&self.given);
        }
        let started = self.file.all().iter().filter(|(name, _)| !is_dynamic(name));
        let now = image.settings.iter().filter(|(name, _)| is_dynamic(name));
        let merged: Config = started.chain(now).map(|(name, value)| (name.clone(), value.clone())).collect();
        let (values, errors) = Values::lenient(&merged);
        for error in errors {
            warn!(%error, "a setting of the KafkaCluster is left out");
        }
        values.with(&self.given)
    }

    /// Settings that were changed in the KafkaCluster and wait for a restart; each is told once.
    pub fn newly_waiting(&mut self, image: &ClusterImage) -> Vec<String> {
        if image.cluster_id.is_empty() {
            return Vec::new();
        }
        let (file, now) = (self.file.all(), image.settings.as_ref());
        let differs = |name: &&String| needs_restart(name) && file.get(*name) != now.get(*name);
        let waiting: BTreeSet<String> = file.keys().chain(now.keys()).filter(differs).cloned().collect();
        let new = waiting.difference(&self.waiting).cloned().collect();
        self.waiting = waiting;
        new
    }
}

fn is_dynamic(name: &str) -> bool {
    broker_setting(name).is_some_and(|setting| setting.update == Update::Dynamic)
}

/// What has no effect needs no restart either.
fn needs_restart(name: &str) -> bool {
    broker_setting(name).is_some_and(|setting| {
        setting.update == Update::Restart && !matches!(setting.effect, Effect::None(_))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const DYNAMIC: &str = "log.retention.ms";
    const RESTART: &str = "offsets.topic.num.partitions";

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
    }

    fn layers(file: &[(&str, &str)], given: &[(&str, &str)]) -> Layers {
        Layers::new(Values::new(config(file)).unwrap(), Values::new(config(given)).unwrap())
    }

    fn image(settings: &[(&str, &str)]) -> ClusterImage {
        ClusterImage {
            cluster_id: Arc::from("id"),
            settings: Arc::new(config(settings)),
            ..ClusterImage::default()
        }
    }

    #[test]
    fn a_running_broker_takes_some_settings_and_not_others() {
        let mut layers = layers(&[(DYNAMIC, "1"), (RESTART, "50")], &[]);
        let changed = image(&[(DYNAMIC, "2"), (RESTART, "60")]);
        let values = layers.in_force(&changed);
        assert_eq!((values.text(DYNAMIC), values.text(RESTART)), ("2", "50"));
        assert_eq!(layers.newly_waiting(&changed), [RESTART]);
        assert!(layers.newly_waiting(&changed).is_empty());
    }

    #[test]
    fn a_setting_that_is_taken_out_goes_back_to_its_default() {
        let layers = layers(&[(DYNAMIC, "1")], &[]);
        assert!(layers.in_force(&image(&[])).all().is_empty());
        assert_eq!(layers.in_force(&ClusterImage::default()).text(DYNAMIC), "1");
    }

    #[test]
    fn the_command_line_goes_before_everything() {
        let layers = layers(&[(RESTART, "50")], &[(DYNAMIC, "7"), (RESTART, "70")]);
        let values = layers.in_force(&image(&[(DYNAMIC, "2")]));
        assert_eq!((values.text(DYNAMIC), values.text(RESTART)), ("7", "70"));
    }

    #[test]
    fn a_wrong_setting_takes_no_other_with_it() {
        let layers = layers(&[], &[]);
        let values = layers.in_force(&image(&[(DYNAMIC, "2"), ("log.segment.bytes", "none")]));
        assert_eq!(values.text(DYNAMIC), "2");
    }
}
