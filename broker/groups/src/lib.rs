//! Consumer groups as state machines. No I/O, no clock, no async.
