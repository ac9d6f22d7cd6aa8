//! Record batches and message sets: parsing, checking, compression, conversion. No I/O, no wire schemas.
