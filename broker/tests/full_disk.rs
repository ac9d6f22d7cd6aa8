//! A follower whose disk is full tells its leader, which goes on without it: nobody waits for `replica.lag.time.max.ms`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use kafka_protocol::messages::{produce_request::*, *};
use milena_records::BatchBuilder;
use support::three::{Three, name};

/// A file system in memory, of 64 MiB.
struct Disk(PathBuf);

impl Disk {
    /// None where this process may not mount one.
    fn mount(path: &Path) -> Option<Disk> {
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(path).status();
        done.is_ok_and(|status| status.success()).then(|| Disk(path.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Appends 256 KiB with acks=all; the error code.
fn write(three: &Three) -> i16 {
    let mut builder = BatchBuilder::new(0);
    builder.append(1_000, None, Some(&[b'x'; 256 * 1024]), &[]).unwrap();
    let data = PartitionProduceData::default().with_records(Some(builder.build().unwrap()));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(20_000).with_topic_data(vec![topic]);
    let mut client = three.connect(three.leader(0)).unwrap();
    client.ask(9, &request).responses[0].partition_responses[0].error_code
}

#[test]
fn a_follower_with_a_full_disk_holds_nobody_up_and_comes_back() {
    let three = Three::start();
    three.create(1);
    let in_sync = |count| move |p: &metadata_response::MetadataResponsePartition| p.isr_nodes.len() == count;
    three.until("all are in sync", in_sync(3));
    // The first broker's directory has the cluster's objects, too.
    let follower = [1, 2].into_iter().find(|broker| *broker != three.leader(0)).unwrap();
    let id = follower.to_string();
    three.done(&["stop", &id]);
    let path = three.process.data.path().join(format!("broker.{follower}"));
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let Some(disk) = Disk::mount(&path) else {
        assert!(std::env::var_os("CI").is_none(), "a file system cannot be mounted");
        eprintln!("left out: a file system cannot be mounted");
        return;
    };
    three.done(&["start", &id]);
    three.until("all are in sync", in_sync(3));
    disk.fill();
    let begun = Instant::now();
    // What was reserved for the segment may take some of it.
    for _ in 0..40 {
        assert_eq!(write(&three), 0);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    three.until("it is out of the ISR", |p| {
        p.isr_nodes.len() == 2 && !p.isr_nodes.contains(&BrokerId(follower))
    });
    fs::remove_file(disk.filler()).unwrap();
    three.until("all are in sync", in_sync(3));
    three.done(&["stop", &id]);
}
