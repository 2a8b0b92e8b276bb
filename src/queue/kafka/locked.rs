//! Properties of librdkafka that cannot be set by a user, and why.

const COMMITS: &str =
    "progress is committed explicitly, with what it proves; an offset alone would lose mail";
const RESET: &str =
    "a missing offset must stop a worker; a reset would send everything again or lose it";
const DURABLE: &str = "an append counts when all replicas in sync have it, once";
const GROUP: &str = "the group is the environment's, `ENV.mail`";
const ASSIGNMENT: &str =
    "partitions are handed over one by one, which only `cooperative-sticky` does";
const NAMED: &str = "client ids name the role, host and worker";
const OWN: &str = "mailq sets it for each of its clients";

/// Each with its older names in librdkafka.
const LOCKED: [(&str, &str); 33] = [
    ("enable.auto.commit", COMMITS),
    ("auto.commit.enable", COMMITS),
    ("auto.commit.interval.ms", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    ("offset.store.method", COMMITS),
    ("offset.store.path", COMMITS),
    ("offset.store.sync.interval.ms", COMMITS),
    ("auto.offset.reset", RESET),
    ("acks", DURABLE),
    ("request.required.acks", DURABLE),
    ("enable.idempotence", DURABLE),
    ("enable.gapless.guarantee", DURABLE),
    ("max.in.flight", DURABLE),
    ("max.in.flight.requests.per.connection", DURABLE),
    ("retries", DURABLE),
    ("message.send.max.retries", DURABLE),
    (
        "message.timeout.ms",
        "`--queue-timeout` says how long an append may wait",
    ),
    (
        "delivery.timeout.ms",
        "`--queue-timeout` says how long an append may wait",
    ),
    ("queuing.strategy", DURABLE),
    ("partition.assignment.strategy", ASSIGNMENT),
    ("group.remote.assignor", ASSIGNMENT),
    ("isolation.level", "nothing is written in transactions"),
    ("transactional.id", "nothing is written in transactions"),
    ("group.id", GROUP),
    ("group.instance.id", "`--instance-id` says it"),
    ("bootstrap.servers", "brokers are named by the queue's URL"),
    (
        "metadata.broker.list",
        "brokers are named by the queue's URL",
    ),
    ("client.id", NAMED),
    ("enable.partition.eof", OWN),
    ("check.crcs", OWN),
    ("max.poll.interval.ms", OWN),
    (
        "allow.auto.create.topics",
        "`mailq topics init` creates topics as they must be",
    ),
    ("plugin.library.paths", "code of others is not loaded"),
];

/// Why a property is refused; `None`: it may be set. `topic.NAME` is the same as `NAME`.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let plain = name.strip_prefix("topic.").unwrap_or(name);
    let found = LOCKED.iter().find(|(locked, _)| *locked == plain);
    found.map(|(_, why)| *why)
}
