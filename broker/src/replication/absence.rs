//! Who went away just now. A process that dies closes all its connections; its clients ask other brokers within a
//! millisecond who leads now, mostly before others are elected, and librdkafka, told of the old leader or of none, asks
//! again only after a second. So such a question is answered a moment later, by who leads then.
//!
//! Nor is such a broker taken from the list of brokers in the same moment: librdkafka drops what it knows of one that is not
//! listed, the new leaders of its partitions with it where it learns of both at once, and asks a second later. Who hands
//! over before its end is not meant: it stays for a moment, and tells its clients itself.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{cluster::ClusterImage, node::Broker};

/// Questions wait for so long at most, from when it went away.
const WAIT: Duration = Duration::from_millis(500);
/// It leads nothing, as clients are told, for so long after it refused to be reached. Then the picture counts again.
const LEADS_NOTHING: Duration = Duration::from_millis(250);
/// It is listed for so long yet; who hangs up after that went away anew. Refused tries are half a second apart at most.
const LISTED: Duration = Duration::from_secs(1);

/// Brokers that went away.
#[derive(Debug, Default)]
pub struct Absences {
    brokers: Mutex<BTreeMap<i32, Absence>>,
}

#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Instant,
    refused: Instant,
}

impl Absences {
    fn note(&self, broker: i32, now: Instant) {
        let mut brokers = self.brokers.lock();
        brokers.retain(|_, absence| now.duration_since(absence.refused) < LISTED);
        brokers.entry(broker).or_insert(Absence { since: now, refused: now }).refused = now;
    }

    /// It is there.
    pub fn end(&self, broker: i32) {
        self.brokers.lock().remove(&broker);
    }

    /// The picture as clients are told of it: who has just hung up is down.
    pub fn shown(&self, image: &Arc<ClusterImage>, now: Instant) -> Arc<ClusterImage> {
        let brokers = self.brokers.lock();
        let down = |(id, absence): (&i32, &Absence)| {
            let is_down = now.duration_since(absence.refused) < LEADS_NOTHING;
            (is_down && image.live_broker(*id).is_some()).then_some(*id)
        };
        let mut down = brokers.iter().filter_map(down).peekable();
        if down.peek().is_none() {
            return image.clone();
        }
        let mut shown = image.as_ref().clone();
        for id in down {
            if let Some(info) = shown.brokers.get_mut(&id) {
                info.alive = false;
            }
        }
        Arc::new(shown)
    }

    /// Whether a broker that is down is listed among the others yet.
    pub fn is_listed(&self, broker: i32, now: Instant) -> bool {
        self.brokers.lock().get(&broker).is_some_and(|absence| now.duration_since(absence.refused) < LISTED)
    }

    /// Until when to wait for somebody to take the place of one of those of whom `leads` is true; none: of nobody.
    fn waits(&self, leads: impl Fn(i32) -> bool, now: Instant) -> Option<Instant> {
        let due = |(id, absence): (&i32, &Absence)| (*id, absence.since + WAIT);
        let due: Vec<(i32, Instant)> = self.brokers.lock().iter().map(due).collect();
        due.into_iter().filter(|(id, until)| *until > now && leads(*id)).map(|(_, until)| until).max()
    }

    /// Waits for that.
    async fn replaced(&self, mut changes: watch::Receiver<u64>, leads: impl Fn(i32) -> bool) {
        loop {
            // Before the look: a change in between is not missed.
            changes.mark_unchanged();
            let Some(until) = self.waits(&leads, Instant::now()) else { return };
            if !matches!(timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// An exchange with another broker, which leads, has ended with that error, or could not begin. Silence and a way that is
/// cut say nothing: its clients may reach it.
pub fn hung_up(broker: &Broker, other: i32, error: io::ErrorKind) {
    if says_gone(error) && broker.view().image.topics.values().any(|topic| topic.is_led_by(other)) {
        broker.replication.absences.note(other, Instant::now());
    }
}

fn says_gone(error: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(error, BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | UnexpectedEof)
}

/// Waits until nobody who has just gone away leads, in the broker's picture, what a client asks for: a moment at most.
pub async fn others_lead(broker: &Broker, leads: impl Fn(&ClusterImage, i32) -> bool) {
    let leads = |id| leads(&broker.view().image, id);
    broker.replication.absences.replaced(broker.view_changes(), leads).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::{join, time::sleep};

    use super::*;
    use crate::cluster::BrokerInfo;

    fn image(alive: &[i32]) -> Arc<ClusterImage> {
        let info = |id| BrokerInfo {
            host: None,
            port: 9092,
            pod_ip: None,
            rack: None,
            alive: alive.contains(&id),
            offline: Arc::default(),
        };
        let brokers = (0..3).map(|id| (id, info(id))).collect();
        Arc::new(ClusterImage { brokers, ..ClusterImage::default() })
    }

    fn alive(absences: &Absences, now: Instant) -> Vec<i32> {
        let shown = absences.shown(&image(&[0, 1, 2]), now);
        (0..3).filter(|id| shown.live_broker(*id).is_some()).collect()
    }

    #[test]
    fn who_hangs_up_leads_nothing_for_a_moment_or_until_it_is_there_again() {
        let (absences, now) = (Absences::default(), Instant::now());
        assert_eq!(alive(&absences, now), [0, 1, 2]);
        [1, 2, 7].iter().for_each(|id| absences.note(*id, now));
        assert_eq!(alive(&absences, now), [0]);
        absences.end(2);
        assert_eq!(alive(&absences, now), [0, 2]);
        assert!(absences.waits(|id| id == 1, now).is_some() && absences.waits(|id| id == 2, now).is_none());
        assert_eq!(alive(&absences, now + LEADS_NOTHING), [0, 1, 2], "by now the picture says it");
    }

    #[test]
    fn questions_wait_from_when_it_went_away_however_often_it_refuses() {
        let (absences, mut now) = (Absences::default(), Instant::now());
        for _ in 0..6 {
            absences.note(1, now);
            now += WAIT / 5;
        }
        assert_eq!((alive(&absences, now), absences.waits(|_| true, now)), (vec![0, 2], None));
        now += LISTED;
        absences.note(1, now);
        assert!(absences.waits(|_| true, now).is_some());
    }

    #[test]
    fn who_hangs_up_is_listed_yet() {
        let (absences, now) = (Absences::default(), Instant::now());
        absences.note(1, now);
        assert_eq!([0, 1, 2].map(|id| absences.is_listed(id, now)), [false, true, false]);
        assert!(!absences.is_listed(1, now + LISTED));
    }

    #[test]
    fn silence_says_nothing() {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NotFound, TimedOut, UnexpectedEof};
        assert!([ConnectionRefused, UnexpectedEof].map(says_gone).iter().all(|gone| *gone));
        assert!([TimedOut, HostUnreachable, NotFound].map(says_gone).iter().all(|gone| !gone));
    }

    #[tokio::test]
    async fn a_question_is_answered_as_soon_as_somebody_else_leads_or_when_it_has_waited_long_enough() {
        let (absences, leads) = (Absences::default(), &Cell::new(true));
        let (changes, _) = watch::channel(0);
        absences.note(1, Instant::now());
        let begun = Instant::now();
        let asked = |id| absences.replaced(changes.subscribe(), move |other| other == id && leads.get());
        asked(0).await;
        assert!(begun.elapsed() < WAIT / 2, "of who has not gone nobody waits");
        let elected = async {
            sleep(WAIT / 5).await;
            // A change that is about something else.
            changes.send_replace(1);
            sleep(WAIT / 5).await;
            leads.set(false);
            changes.send_replace(2);
        };
        join!(asked(1), elected);
        let took = begun.elapsed();
        assert!(took >= WAIT * 2 / 5 && took < WAIT, "{took:?}");
        leads.set(true);
        asked(1).await;
        assert!(begun.elapsed() >= WAIT, "it has waited for nobody");
    }
}
