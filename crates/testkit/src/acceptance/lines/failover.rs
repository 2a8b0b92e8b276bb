//! One of two relays is ended, stopped, or answers 451 to everybody: all mail goes by the other one.

use super::{MAX_UNCOMMITTED, SHORT_RETRIES, keeping, wait_for_accepted};
use crate::acceptance::Setting;
use crate::acceptance::account::{Told, check_all_delivered};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Server, Trouble};
use std::time::{Duration, Instant};

const REPLY_DELAY: Duration = Duration::from_millis(10);
/// All mail goes by the other relay so long after the trouble began.
const TURNS_WITHIN: Duration = Duration::from_secs(10);
/// How long the speed is measured, before the trouble and after the turn.
const SPAN: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_secs(900);
const LEAST_SPEED: f64 = 0.8;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    for (name, trouble) in [
        ("ended", Trouble::Closed),
        ("stopped", Trouble::Frozen),
        ("451", Trouble::Deferring),
    ] {
        let mut part = Report::default();
        run_one(setting, trouble, &mut part)?;
        report.join(name, part);
    }
    Ok(())
}

fn run_one(setting: &Setting, trouble: Trouble, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let mut server = Server::accepting(2, population)?;
    server.slow(REPLY_DELAY);
    let relay = |gate| format!("[[relay]]\nurl = \"{}\"\n", server.url(gate));
    let settings = [
        SHORT_RETRIES,
        "[send]\nconnections = 20\n",
        &relay(0),
        &relay(1),
    ]
    .concat();
    keeping(Project::new(setting, &settings)?, |project| {
        let csv = project.campaign("failover", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let arguments = ["send", "--drain", "--rate", "unlimited"];
        let mut worker = Process::start(project, "send", &arguments)?;
        wait_for_accepted(&server, u64::from(population) / 20)?;
        let before = speed(&server, None);
        server.set_trouble(1, trouble)?;
        let began_at = Instant::now();
        std::thread::sleep(TURNS_WITHIN);
        let after = speed(&server, Some(0));
        report.figure("messages a second before", format!("{before:.0}"));
        report.figure("messages a second by the other", format!("{after:.0}"));
        report.at_least("share of the speed", after / before, LEAST_SPEED);
        // What is in flight at a stopped relay waits for its timeout.
        wait_for_accepted(&server, u64::from(population) - MAX_UNCOMMITTED)?;
        report.figure(
            "all but K sent after",
            format!("{:.1?}", began_at.elapsed()),
        );
        server.set_trouble(1, Trouble::None)?;
        worker.wait_for_success(DRAIN)?;
        let told = check_all_delivered(project, "failover", &server, MAX_UNCOMMITTED, report)?;
        check_tries(&told, report);
        Ok(())
    })
}

/// Messages taken a second over the next moments, at this gate or at all.
fn speed(server: &Server, gate: Option<usize>) -> f64 {
    let taken = || {
        let ledger = server.ledger();
        let taken = ledger
            .transactions
            .iter()
            .filter(|t| t.accepted_at.is_some());
        let taken = taken.filter(|t| gate.is_none_or(|gate| t.gate == gate));
        taken.count()
    };
    let before = taken();
    std::thread::sleep(SPAN);
    (taken() - before) as f64 / SPAN.as_secs_f64()
}

/// Nobody's tries are used, but those of messages that may have been taken.
fn check_tries(told: &[Told], report: &mut Report) {
    let used = told.iter().filter(|t| t.tries_used > 0 && t.in_doubt == 0);
    report.expect("recipients whose tries were used", used.count(), 0);
}
