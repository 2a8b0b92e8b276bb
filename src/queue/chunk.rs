//! Chunks as bytes: one gzip member of JSON lines and messages, and the record headers that describe it.
