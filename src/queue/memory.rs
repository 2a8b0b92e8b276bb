//! The queue in memory, for tests: as unkind as Kafka may be.
