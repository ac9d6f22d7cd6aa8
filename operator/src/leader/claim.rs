//! Who may claim the operator's Lease, and when. Pure.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// A Lease of somebody else as it was first seen, on the observer's own clock: the clocks of two machines are never
/// compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

/// What a candidate is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The Lease is this candidate's; renew it.
    Renew,
    /// The Lease is free; take it.
    Take,
    /// Somebody else holds it; look again, and hand back what was seen.
    Wait(Seen),
}

/// Judges a Lease: it is free if nobody holds it, or if it was seen unchanged for the whole duration that its holder
/// asked for.
pub fn decide(
    identity: &str,
    spec: &LeaseSpec,
    seen: Option<Seen>,
    now: Instant,
    default: Duration,
) -> Claim {
    match spec.holder_identity.as_deref() {
        None | Some("") => return Claim::Take,
        Some(holder) if holder == identity => return Claim::Renew,
        Some(_) => {}
    }
    let asked = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let duration = asked.map_or(default, Duration::from_secs);
    match seen {
        Some(seen) if seen.spec == *spec => {
            if now.saturating_duration_since(seen.since) >= duration {
                Claim::Take
            } else {
                Claim::Wait(seen)
            }
        }
        _ => Claim::Wait(Seen { spec: spec.clone(), since: now }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Duration = Duration::from_secs(5);

    fn held(by: &str, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.to_owned()),
            lease_duration_seconds: Some(4),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn free_and_own_leases_are_claimed_at_once() {
        let now = Instant::now();
        assert_eq!(decide("me", &LeaseSpec::default(), None, now, DEFAULT), Claim::Take);
        assert_eq!(decide("me", &held("", 1), None, now, DEFAULT), Claim::Take);
        assert_eq!(decide("me", &held("me", 1), None, now, DEFAULT), Claim::Renew);
    }

    #[test]
    fn another_lease_only_when_seen_unchanged_for_its_whole_duration() {
        let start = Instant::now();
        let Claim::Wait(seen) = decide("me", &held("other", 1), None, start, DEFAULT) else {
            panic!("taken")
        };
        let early = start + Duration::from_millis(3999);
        assert_eq!(
            decide("me", &held("other", 1), Some(seen.clone()), early, DEFAULT),
            Claim::Wait(seen.clone())
        );
        let late = start + Duration::from_secs(4);
        assert_eq!(decide("me", &held("other", 1), Some(seen.clone()), late, DEFAULT), Claim::Take);
        // Renewed meanwhile: the wait begins anew.
        let Claim::Wait(again) = decide("me", &held("other", 2), Some(seen), late, DEFAULT) else {
            panic!("taken")
        };
        assert_eq!(again.since, late);
    }
}
