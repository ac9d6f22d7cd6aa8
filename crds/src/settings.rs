//! Every setting that is known, in one table.
