//! Properties of librdkafka that a user cannot set, because mailq's promises rest on them, and the reason for each.

const COMMITS: &str =
    "mailq commits each offset with its metadata; an offset alone would lose mail";
const RESET: &str = "a missing offset must stop the worker; a reset would repeat or lose mail";
const DURABLE: &str = "every append must reach all in-sync replicas exactly once";
const GROUP: &str = "the group is always `ENV.mail`";
const ASSIGNMENT: &str = "mailq needs incremental rebalances, which only `cooperative-sticky` has";
const NAMED: &str = "mailq names its clients after role, host and worker";
const OWN: &str = "mailq sets it for each of its clients";

/// The properties, also under their older names.
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
        "`--queue-timeout` limits how long an append waits",
    ),
    (
        "delivery.timeout.ms",
        "`--queue-timeout` limits how long an append waits",
    ),
    ("queuing.strategy", DURABLE),
    ("partition.assignment.strategy", ASSIGNMENT),
    ("group.remote.assignor", ASSIGNMENT),
    ("isolation.level", "mailq does not use transactions"),
    ("transactional.id", "mailq does not use transactions"),
    ("group.id", GROUP),
    ("group.instance.id", "`--instance-id` sets it"),
    ("bootstrap.servers", "the queue URL names the brokers"),
    ("metadata.broker.list", "the queue URL names the brokers"),
    ("client.id", NAMED),
    ("enable.partition.eof", OWN),
    ("check.crcs", OWN),
    ("max.poll.interval.ms", OWN),
    (
        "allow.auto.create.topics",
        "`mailq topics init` creates the topics",
    ),
    ("plugin.library.paths", "mailq does not load external code"),
];

/// Why a property is refused; `None`: it may be set. librdkafka accepts `topic.NAME` for `NAME`.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let plain = name.strip_prefix("topic.").unwrap_or(name);
    let found = LOCKED.iter().find(|(locked, _)| *locked == plain);
    found.map(|(_, why)| *why)
}
