//! Recovery elections (rule 8): operators ask brokers how far their logs go, and brokers answer.

use milena_crds::partition::{PartitionKey, Report};

use super::network::Message;
use super::rules::Broken;
use super::store::TOPIC;
use super::world::World;

impl World {
    /// An operator asks what its elections depend on.
    pub fn inquire(&mut self, at: usize) {
        if self.broken == Some(Broken::Recovery) {
            return;
        }
        let life = self.operators[at].life;
        for (broker, asked) in self.operators[at].controller.wanted_reports() {
            for (key, epoch) in asked {
                let (to, partition) =
                    (usize::try_from(broker).unwrap(), usize::try_from(key.partition).unwrap());
                let ask = Message::Ask { from: at, life, to, partition, epoch };
                self.net.send(ask, self.now, &mut self.rng);
            }
        }
    }

    /// A broker is asked, and answers if it can.
    pub fn is_asked(&mut self, from: usize, life: u32, broker: usize, partition: usize, epoch: i32) {
        let node = &mut self.nodes[broker];
        let Some(process) = &mut node.process else { return };
        let replica = &mut process.parts[partition].replica;
        let Some(report) = replica.report(epoch, &node.disk.logs[partition]) else { return };
        self.say(|| format!("broker {broker} tells how far it goes in {partition}: {report:?}"));
        self.publish(broker, partition);
        let told = Message::Told { to: from, life, broker, partition, report };
        self.net.send(told, self.now, &mut self.rng);
    }

    /// An operator hears how far a log goes.
    pub fn is_told(&mut self, at: usize, life: u32, broker: usize, partition: usize, report: Report) {
        if self.operators[at].life != life {
            return;
        }
        let key = PartitionKey { topic_id: TOPIC, partition: i32::try_from(partition).unwrap() };
        let broker = i32::try_from(broker).unwrap();
        if self.broken == Some(Broken::RecoveryWaits) {
            // Whoever has not answered is taken for empty.
            let others = self.operators[at].facts.clone();
            for (other, lease) in others.into_iter().filter(|(other, _)| *other != broker) {
                let generation = lease.generation;
                let empty =
                    Report { generation, last_epoch: -1, log_start: 0, log_end: 0, refuses: report.refuses };
                self.operators[at].controller.heard(other, key, empty);
            }
        }
        self.operators[at].controller.heard(broker, key, report);
    }
}
