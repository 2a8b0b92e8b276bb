//! A campaign whose text is changed while it is sent: `run` and `enqueue` with `--replace` are killed at random moments and
//! called again, until everybody has a mail.

use super::{PATIENCE, SHORT_RETRIES, keeping};
use crate::acceptance::Setting;
use crate::acceptance::account::{check_duplicates, events};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use anyhow::bail;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

pub const RECIPIENTS_PER_KILL: u64 = 50;
/// What a kill leaves in doubt is not sent by the next run, so it has to be little beside what is sent.
const MAX_UNCOMMITTED: u64 = 8;
const REPLY_DELAY: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(600);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let project = Project::new(setting, SHORT_RETRIES)?;
    change_and_kill(setting, project, Duration::from_secs(2), report)
}

/// `longest_early`: of a process that is killed whether it sends something or not.
pub fn change_and_kill(
    setting: &Setting,
    project: Project,
    longest_early: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count * RECIPIENTS_PER_KILL)?;
    let server = Server::accepting(1, population)?;
    server.slow(REPLY_DELAY);
    keeping(project, |project| {
        project.campaign("list", 0, population)?;
        let mut story = Story {
            project,
            server: &server,
            random: setting.random(),
            longest_early,
            changes: 0,
            kills: [0, 0],
            killed_while_sending: 0,
        };
        story.kill(setting.count)?;
        story.end()?;
        story.figures(setting.count, report);
        check(project, &server, setting.count, report)
    })
}

struct Story<'a> {
    project: &'a Project,
    server: &'a Server,
    random: fastrand::Rng,
    longest_early: Duration,
    changes: u64,
    /// Of `run`, and of `enqueue`.
    kills: [u64; 2],
    killed_while_sending: u64,
}

impl Story<'_> {
    fn kill(&mut self, kills: u64) -> anyhow::Result<()> {
        // A process that ends before its time is not killed. Once everybody has a mail, that is every one.
        for _ in 0..kills * 3 {
            if self.kills.iter().sum::<u64>() == kills {
                break;
            }
            self.round()?;
        }
        Ok(())
    }

    /// Changes the text or repeats the last call, and kills it.
    fn round(&mut self) -> anyhow::Result<()> {
        if self.changes == 0 || self.random.bool() {
            self.change()?;
        }
        let is_enqueue = self.random.u8(..3) == 0;
        let before = self.server.ledger().accepted;
        let mut process = match is_enqueue {
            true => Process::start(
                self.project,
                "enqueue",
                &["enqueue", "list.toml", "--replace"],
            )?,
            false => self.start_run()?,
        };
        // Half of the processes have the time to send something.
        let life = match is_enqueue || self.random.bool() {
            true => self.longest_early.mul_f64(self.random.f64()),
            false => PATIENCE,
        };
        let few = before + self.random.u64(1..2 * RECIPIENTS_PER_KILL);
        let began_at = Instant::now();
        while began_at.elapsed() < life
            && self.server.ledger().accepted < few
            && process.ended()?.is_none()
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        match process.ended()? {
            // 1: a mail of it stays in doubt.
            Some(status) if matches!(status.code(), Some(0 | 1)) => return Ok(()),
            Some(status) => bail!("it ended with {status}: {}", process.last_words()),
            None => process.kill()?,
        }
        self.kills[usize::from(is_enqueue)] += 1;
        self.killed_while_sending += u64::from(self.server.ledger().accepted > before);
        Ok(())
    }

    fn start_run(&self) -> anyhow::Result<Process> {
        let relay = self.server.url(0);
        let most = MAX_UNCOMMITTED.to_string();
        let arguments = [
            "run",
            "list.toml",
            "--replace",
            "--rate",
            "unlimited",
            "--relay",
            &relay,
            "--max-uncommitted",
            &most,
        ];
        Process::start(self.project, "run", &arguments)
    }

    fn change(&mut self) -> anyhow::Result<()> {
        self.changes += 1;
        let path = self.project.path().join("templates/list.txt");
        let mut file = OpenOptions::new().append(true).open(path)?;
        writeln!(file, "PS {}", self.changes)?;
        Ok(())
    }

    /// What a person does in the end: the same call, until it is done.
    fn end(&self) -> anyhow::Result<()> {
        self.server.slow(Duration::ZERO);
        self.start_run()?.wait_for_success(LONGEST)?;
        let before = self.server.ledger().accepted;
        self.start_run()?.wait_for_success(LONGEST)?;
        let after = self.server.ledger().accepted;
        if before != after {
            bail!("a run that was complete has sent {} more", after - before);
        }
        Ok(())
    }

    fn figures(&self, wanted: u64, report: &mut Report) {
        let [runs, enqueues] = self.kills;
        report.figure("changes of the text", self.changes);
        report.figure("kills of `enqueue`", enqueues);
        report.figure("kills while mail was sent", self.killed_while_sending);
        report.expect("kills", runs + enqueues, wanted);
    }
}

/// Everybody has a mail, or an event that says that they may have one; nobody has a second one without such an event.
fn check(
    project: &Project,
    server: &Server,
    kills: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let ledger = server.ledger();
    let told = events(project, ledger.population(), &[])?;
    let pairs = || ledger.recipients.iter().zip(&told);
    let without = pairs().filter(|(seen, told)| seen.accepted == 0 && told.in_doubt == 0);
    report.expect("without a mail or an in_doubt event", without.count(), 0);
    let doubted = pairs().filter(|(seen, _)| seen.accepted == 0).count() as u64;
    report.at_most("in doubt without a mail", doubted, kills * MAX_UNCOMMITTED);
    report.at_most("duplicates", ledger.duplicates(), kills * MAX_UNCOMMITTED);
    report.expect("strangers", ledger.strangers, 0);
    check_duplicates(&ledger, &told, report);
    let silent = pairs()
        .filter(|(seen, told)| seen.accepted > 0 && told.delivered == 0 && told.in_doubt == 0);
    report.expect("taken and not told by an event", silent.count(), 0);
    drop(ledger);
    let verified = project.json(&["verify"])?;
    let findings = &verified["findings"];
    report.check(verified["ok"] == true, format_args!("verify: {findings}"));
    Ok(())
}
