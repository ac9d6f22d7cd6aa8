//! Leader, follower and in-sync replicas as state machines. No I/O, no clock, no async.
