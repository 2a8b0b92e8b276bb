//! Errors of queues, workers, `enqueue`, `recover` and of reading the accounts.

use super::{examples, failure};
use mailq::domain::ids::RunKey;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::AccountError;
use mailq::engine::enqueue::{EnqueueError, OtherRun, SameRun};
use mailq::engine::letters::LetterError;
use mailq::engine::recover::RecoverError;
use mailq::engine::worker::WorkerError;
use mailq::protocol::TextError;
use mailq::protocol::invariant::{Broken, Invariant};
use mailq::protocol::ledger::LedgerError;
use mailq::queue::QueueError;
use mailq::queue::chunk::ChunkError;
use mailq::recipients::RecipientsError;
use mailq::render::{RenderError, RenderProblem, TemplateError};

const SEND_3: TopicPartition = TopicPartition::new(Topic::Send, 3);

pub fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    queue(&mut texts);
    account(&mut texts);
    enqueue(&mut texts);
    worker(&mut texts);
    texts
}

fn queue(texts: &mut Vec<String>) {
    let path = || "/srv/news/.mailq/queue.db".to_string();
    let cluster = || "kafka://kafka-1:9092".to_string();
    examples!(texts, failure, QueueError {
        Missing => QueueError::Missing(path()),
        Newer => QueueError::Newer { path: path(), found: 7, known: 5 },
        OtherKey => QueueError::OtherKey {
            path: path(),
            found: "9f3c1d2e4b5a6978".into(),
            expected: "0a1b2c3d4e5f6071".into(),
        },
        Damaged => QueueError::Damaged { path: path(), what: "it has no format version".into() },
        Full => QueueError::Full { path: path() },
        Away => QueueError::Away { path: path(), what: "another process keeps it locked".into() },
        Gone => QueueError::Gone { path: path(), what: "it was removed or renamed".into() },
        Broken => QueueError::Broken {
            path: cluster(),
            what: "this worker can no longer be a member: fenced".into(),
        },
        NoThread => QueueError::NoThread("resource temporarily unavailable".into()),
        BelowLowWatermark => QueueError::BelowLowWatermark { at: SEND_3, offset: 4, low_watermark: 9 },
        NoTopic => QueueError::NoTopic(Topic::Send),
        BadRecord => QueueError::BadRecord {
            at: SEND_3,
            offset: 7,
            what: "checksum does not match".into(),
        },
        TooLarge => QueueError::TooLarge { topic: Topic::Send, bytes: 1_310_720, limit: 1_048_588 },
        Setting => QueueError::Setting {
            name: "acks".into(),
            why: "every append must reach all in-sync replicas exactly once".into(),
        },
        Login => QueueError::Login { url: cluster(), what: "authentication failed".into() },
        Denied => QueueError::Denied {
            url: cluster(),
            what: "operation `Read` on group `prod.mail` is missing from its access list".into(),
        },
        Unknown => QueueError::Unknown("3 of 7 records were acknowledged: timed out".into()),
    });
}

fn ledger() -> LedgerError {
    LedgerError {
        offset: 12,
        key: "manifest/1/2".into(),
        what: "missing field `rows`".into(),
    }
}

fn account(texts: &mut Vec<String>) {
    let json = || serde_json::from_str::<u8>("x").unwrap_err();
    examples!(texts, failure, AccountError {
        Queue => AccountError::Queue(QueueError::NoTopic(Topic::Event)),
        Ledger => AccountError::Ledger(ledger()),
        Text => AccountError::Text { at: SEND_3, error: TextError::Version("mq9".into()) },
        Letter => AccountError::Letter(LetterError {
            at: TopicPartition::new(Topic::Dlq, 3),
            offset: 5,
            key: "a@b.example/0".into(),
            what: "not a chunk of one message".into(),
        }),
        Chunk => AccountError::Chunk { run: "spring/replay-1".into(), error: ChunkError::Empty },
        Event => AccountError::Event {
            at: TopicPartition::new(Topic::Event, 0),
            offset: 40,
            what: "expected value at line 1 column 1".into(),
        },
        Scratch => AccountError::Scratch {
            folder: "/var/tmp".into(),
            error: std::io::Error::other("no space left on device"),
        },
        Pieces => AccountError::Pieces { run: "spring/replay-1".into(), found: 1, expected: 2 },
        Json => AccountError::Json(json()),
        Left => AccountError::Left {
            run: RunKey(7),
            at: SEND_3,
            what: "the bitset `?` of chunk 12".into(),
        },
        NoManifest => AccountError::NoManifest { run: RunKey(7) },
        NoCampaign => AccountError::NoCampaign("sprnig".into()),
        NoLetter => AccountError::NoLetter("a@b.example".into()),
    });
}

fn enqueue(texts: &mut Vec<String>) {
    let (campaign, run) = (|| "spring".to_string(), || "2026-12".to_string());
    let changed = || vec!["recipients".to_string(), "templates".to_string()];
    let render = || RenderError {
        at: "templates/spring.html:12".into(),
        recipient_line: 41_803,
        what: RenderProblem::LongWord { bytes: 1_200 },
    };
    examples!(texts, failure, EnqueueError {
        Recipients => EnqueueError::Recipients(RecipientsError::Nobody { path: "a.csv".into() }),
        Template => EnqueueError::Template(TemplateError::Unreadable {
            file: "templates/spring.html".into(),
            what: "not valid UTF-8".into(),
        }),
        Render => EnqueueError::Render(render()),
        RenderAfterSeal => EnqueueError::RenderAfterSeal(render()),
        Chunk => EnqueueError::Chunk {
            recipients: "spring.csv".into(),
            line: 41_803,
            what: ChunkError::StoredTooLarge { row: 41_801, bytes: 9_000_000 },
        },
        OtherInputs => EnqueueError::OtherInputs {
            campaign: campaign(),
            other: OtherRun { run: run(), key: RunKey(1), changed: changed() },
        },
        Renamed => EnqueueError::Renamed {
            campaign: "sale".into(),
            same: SameRun {
                campaign: "spring".into(),
                run: "1".into(),
                delivered: 1200,
                unfinished: 3,
            },
        },
        Cancelled => EnqueueError::Cancelled { campaign: campaign(), run: run() },
        CancelledMeanwhile => EnqueueError::CancelledMeanwhile { campaign: campaign(), run: run() },
        DroppedMeanwhile => EnqueueError::DroppedMeanwhile {
            campaign: campaign(),
            run: run(),
            why: "it was started again".into(),
        },
        Busy => EnqueueError::Busy { campaign: campaign(), run: run(), changed: changed() },
        Partitions => EnqueueError::Partitions { run: run(), begun: 8, found: 12 },
        QueueAway => EnqueueError::QueueAway {
            batch: 3,
            safe_batches: 2,
            cause: QueueError::Full { path: "/srv/news/.mailq/queue.db".into() },
        },
        Queue => EnqueueError::Queue(QueueError::NoTopic(Topic::Send)),
        Ledger => EnqueueError::Ledger(ledger()),
        Thread => EnqueueError::Thread("resource temporarily unavailable".into()),
        Earlier => EnqueueError::Earlier { what: "record 7 of event/0 is no event".into() },
        TooOld => EnqueueError::TooOld {
            campaign: "spring".into(),
            run: "2026-01-01".into(),
        },
        Incomplete => EnqueueError::Incomplete { campaign: "spring".into(), run: "2026-11-21".into() },
        Random => EnqueueError::Random,
    });
}

fn worker(texts: &mut Vec<String>) {
    let partitions = || vec![SEND_3, TopicPartition::new(Topic::Send, 4)];
    examples!(texts, failure, WorkerError {
        Queue => WorkerError::Queue(QueueError::NoTopic(Topic::Send)),
        Ledger => WorkerError::Ledger(ledger()),
        Account => WorkerError::Account(AccountError::NoCampaign("spring".into())),
        MissingTopic => WorkerError::MissingTopic("prod.mail.send.v1".into()),
        Broken => WorkerError::Broken(Broken::new(
            SEND_3,
            Invariant::RecordCanBeWritten,
            "recursion limit exceeded",
        )),
        CutOff => WorkerError::CutOff,
        CommitsLost => WorkerError::CommitsLost(partitions()),
    });
    examples!(texts, failure, RecoverError {
        AtWork => RecoverError::AtWork("host-1/2417".into()),
        Taken => RecoverError::Taken(SEND_3),
        TooLong => RecoverError::TooLong { at: SEND_3, bytes: 4_200 },
        Account => RecoverError::Account(AccountError::NoCampaign("spring".into())),
    });
}
