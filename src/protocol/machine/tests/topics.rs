//! What the tables need: topics with runs in them, chunks, and a machine that was gained and has its cycle.

use super::*;
use crate::domain::chunk::Chunk;
use crate::domain::chunk::{ChunkHead, MessageLine};
use crate::domain::ids::RunId;
use crate::domain::records::{
    CampaignRecord, Cancel, Control, InDoubtPolicy, Manifest, Seal, Tally,
};
use crate::protocol::ledger::LedgerError;

pub(super) const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const TIER: TopicPartition =
    TopicPartition::new(Topic::Retry(Duration::from_secs(60)), 0);
pub(super) const DEFERRED: Option<Outcome> = Some(Outcome::Retry {
    delay: SECOND,
    uses_try: true,
    in_doubt: false,
});

pub(super) fn id(number: u64) -> RunId {
    RunId::new(format!("c{number}"), "r")
}

pub(super) fn key(number: u64) -> RunKey {
    id(number).key()
}

pub(super) fn day() -> SystemTime {
    SystemTime::UNIX_EPOCH + SECOND * 1_767_225_600
}

/// The campaign topic so far, as a ledger.
pub(super) struct Topics {
    pub(super) ledger: Ledger,
    end: u64,
}

impl Topics {
    pub(super) fn new() -> Topics {
        Topics {
            ledger: Ledger::default(),
            end: 0,
        }
    }

    pub(super) fn append(&mut self, record: CampaignRecord) {
        self.try_tell(record).unwrap();
    }

    pub(super) fn try_tell(&mut self, record: CampaignRecord) -> Result<(), LedgerError> {
        let payload = serde_json::to_vec(&record).unwrap();
        let offset = self.end;
        self.end += 1;
        self.ledger.apply(offset, &record.key(), Some(&payload))
    }

    pub(super) fn manifest(&mut self, number: u64, first: u64, change: impl FnOnce(&mut Manifest)) {
        self.append(CampaignRecord::Manifest(manifest(number, first, change)));
    }

    pub(super) fn seal(&mut self, number: u64, last: u64) {
        self.append(CampaignRecord::Seal(seal(number, last)));
    }

    pub(super) fn pause(&mut self, number: u64, paused: bool) {
        self.append(CampaignRecord::Control(Control {
            key: key(number),
            paused,
            at: String::new(),
            by: String::new(),
        }));
    }

    pub(super) fn cancel(&mut self, number: u64) {
        self.append(CampaignRecord::Cancel(Cancel {
            key: key(number),
            at: String::new(),
            by: String::new(),
        }));
    }

    /// One sealed run with chunks up to this offset.
    pub(super) fn of_run(last: u64) -> Topics {
        let mut topics = Topics::new();
        topics.manifest(1, 0, |_| ());
        topics.seal(1, last);
        topics
    }

    pub(super) fn at<T>(&self, seconds: u32, look: impl FnOnce(&CycleView) -> T) -> T {
        look(&CycleView {
            ledger: &self.ledger,
            now: day() + SECOND * seconds,
            is_closed: &|_| false,
            flow: &|_| usize::MAX,
            room: &|_| usize::MAX,
            reserve: &|_| true,
        })
    }
}

pub(super) fn manifest(number: u64, first: u64, change: impl FnOnce(&mut Manifest)) -> Manifest {
    let mut manifest = Manifest {
        id: id(number),
        key: key(number),
        draw: number,
        fingerprint: "f".into(),
        inputs: BTreeMap::new(),
        replay_of: None,
        first: vec![first],
        chunk_rows: 4,
        batch_rows: 8,
        rows: 100,
        created_at: "2026-01-01T00:00:00Z".into(),
        not_before: None,
        expires_after_seconds: None,
        in_doubt: InDoubtPolicy::Resend,
        stream: false,
        recipients: String::new(),
        reading: Default::default(),
        rows_fingerprint: None,
        pieces: 0,
    };
    change(&mut manifest);
    manifest
}

pub(super) fn seal(number: u64, last: u64) -> Seal {
    Seal {
        key: key(number),
        manifest: number,
        draw: number,
        last: vec![Some(last)],
        tally: Tally::default(),
        sealed_at: "2026-01-01T00:00:00Z".into(),
        rows_below: None,
    }
}

pub(super) fn chunk(
    run: u64,
    rows: &[u64],
    moved_from: Option<(TopicPartition, u64)>,
) -> Rc<Chunk> {
    let message = |row: &u64| Message {
        line: MessageLine {
            row: *row,
            line: row + 2,
            address: format!("r{row}@example.org"),
            id: format!("{run}.{row}@example.org"),
            return_path: String::new(),
            tries: 0,
            hop: 0,
            round: 0,
            suppressed: (*row == 99).then(|| "manual".to_string()),
            bytes: 0,
        },
        content: Default::default(),
    };
    Rc::new(Chunk {
        head: ChunkHead {
            campaign: format!("c{run}"),
            run: "r".into(),
            key: key(run),
            fingerprint: "f".into(),
            first_row: *rows.first().unwrap(),
            last_row: *rows.last().unwrap(),
            count: rows.len() as u32,
            moved_from,
            trace_id: String::new(),
        },
        messages: rows.iter().map(message).collect(),
    })
}

pub(super) fn gain(at: TopicPartition, committed: Option<(Offset, String)>) -> Machine {
    try_gain(at, committed).unwrap()
}

pub(super) fn try_gain(
    at: TopicPartition,
    committed: Option<(Offset, String)>,
) -> Result<Machine, GainError> {
    let gain = Gain {
        at,
        token: 7,
        owner: "w".into(),
        committed,
        low: 0,
        bases: Vec::new(),
        sites: Rc::default(),
    };
    Machine::gain(gain, &(), rules())
}

pub(super) fn rules() -> Rules {
    Rules {
        jitter: 0.1,
        parking: SECOND,
        move_bytes: 1_000,
        max_text: 3_500,
        max_open: MAX_OPEN,
        base_after: usize::MAX,
    }
}

impl Machine {
    pub(super) fn prepare_and_compose(
        &mut self,
        view: &CycleView,
        limits: Limits,
    ) -> Result<Option<Draft>, Broken> {
        self.prepare(view)?;
        self.compose(view, limits)
    }
}

/// Numbered; active if nothing must be read for that.
pub(super) fn owned(
    at: TopicPartition,
    committed: Option<(Offset, String)>,
    topics: &Topics,
) -> Machine {
    let mut machine = gain(at, committed);
    cycle(&mut machine, topics, 0, 0);
    if machine.missing().is_none() {
        cycle(&mut machine, topics, 0, 0);
    }
    machine
}

pub(super) fn read(machine: &mut Machine, offset: Offset, chunk: Rc<Chunk>) {
    machine.found(vec![found(offset, chunk)]).unwrap();
}

pub(super) fn supply(machine: &mut Machine, chunk: Rc<Chunk>) {
    machine.supply(0, chunk, day()).unwrap();
}

pub(super) fn found(offset: Offset, chunk: Rc<Chunk>) -> Found {
    Found {
        from: offset,
        offset,
        chunk,
        appended_at: day(),
    }
}

/// Runs a cycle in which everything is durable and acknowledged. Returns its effects and claims.
pub(super) fn cycle(
    machine: &mut Machine,
    topics: &Topics,
    seconds: u32,
    claims: usize,
) -> (Effects, Vec<MessageRef>) {
    try_cycle(machine, topics, seconds, claims).unwrap()
}

pub(super) fn try_cycle(
    machine: &mut Machine,
    topics: &Topics,
    seconds: u32,
    claims: usize,
) -> Result<(Effects, Vec<MessageRef>), Broken> {
    let effects = topics.at(seconds, |view| machine.effects(view))?;
    machine.effects_durable(effects.clone())?;
    let draft = topics.at(seconds, |view| {
        machine.prepare_and_compose(view, limits(claims, None))
    })?;
    let claimed = match draft {
        Some(_) => references(&machine.committed()?),
        None => Vec::new(),
    };
    Ok((effects, claimed))
}

pub(super) fn references(messages: &[OpenMessage]) -> Vec<MessageRef> {
    messages.iter().map(|message| message.reference).collect()
}

pub(super) fn report(machine: &mut Machine, reference: MessageRef, outcome: Option<Outcome>) {
    machine.report(reference, outcome, Rc::default()).unwrap();
}

pub(super) fn reference(offset: Offset, position: usize) -> MessageRef {
    MessageRef { offset, position }
}

pub(super) fn kinds(effects: &Effects) -> Vec<EventType> {
    effects
        .events
        .iter()
        .map(|event| event.outcome.event_type())
        .collect()
}

pub(super) fn counted(machine: &Machine, end: Final) -> u64 {
    let runs = machine.progress().runs.values();
    runs.map(|run| run.counters.get(end)).sum()
}

/// Two claims of four rows, at offset 0; and the text that says so.
pub(super) fn claimed_two(topics: &Topics) -> (Machine, String) {
    let mut machine = owned(SEND, None, topics);
    read(&mut machine, 0, chunk(1, &[0, 1, 2, 3], None));
    let (_, claimed) = cycle(&mut machine, topics, 0, 2);
    assert_eq!(claimed, [reference(0, 0), reference(0, 1)]);
    let text = machine.progress().text();
    (machine, text)
}

pub(super) fn limits(claims: usize, end: Option<Offset>) -> Limits {
    Limits {
        claims,
        end,
        renew: false,
    }
}
