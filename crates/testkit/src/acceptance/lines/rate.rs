//! 30/min with one worker and with five, two of them killed and started again; 600/min the same two ways. All four at
//! the same time, each with a queue and a relay of its own. Counted where MAIL FROM arrives.

use super::{SHORT_RETRIES, keeping};
use crate::acceptance::Setting;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// One of the four.
#[derive(Clone, Copy)]
struct Part {
    per_minute: u64,
    workers: usize,
    kills: u64,
    lasts: Duration,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let long = Duration::from_secs(setting.count);
    // A window must fit in.
    let short = (long * 3 / 10).max(Duration::from_secs(70)).min(long);
    let part = |per_minute, workers, kills, lasts| Part {
        per_minute,
        workers,
        kills,
        lasts,
    };
    let parts = [
        part(30, 1, 0, long),
        part(30, 5, 2, long),
        part(600, 1, 0, short),
        part(600, 5, 2, short),
    ];
    run_parts(setting, &parts, report)
}

/// 30/min only.
pub fn run_small(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let one = Part {
        per_minute: 30,
        workers: 1,
        kills: 0,
        lasts: Duration::from_secs(setting.count),
    };
    let five = Part {
        workers: 5,
        kills: 2,
        ..one
    };
    run_parts(setting, &[one, five], report)
}

fn run_parts(setting: &Setting, parts: &[Part], report: &mut Report) -> anyhow::Result<()> {
    let reports: Vec<_> = std::thread::scope(|scope| {
        let start = |part: &Part| {
            let part = *part;
            scope.spawn(move || {
                let mut report = Report::default();
                if let Err(error) = run_part(setting, part, &mut report) {
                    report.fail(format!("{error:#}"));
                }
                report
            })
        };
        let running: Vec<_> = parts.iter().map(start).collect();
        running.into_iter().map(|thread| thread.join()).collect()
    });
    for (part, own) in parts.iter().zip(reports) {
        let name = format!("{}/min, workers {}", part.per_minute, part.workers);
        match own {
            Ok(own) => report.join(&name, own),
            Err(_) => report.fail(format!("{name}: the thread panicked")),
        }
    }
    Ok(())
}

fn run_part(setting: &Setting, part: Part, report: &mut Report) -> anyhow::Result<()> {
    let wanted = part.lasts.as_secs_f64() * part.per_minute as f64 / 60.0;
    let population = wanted as u32 * 2 + 100;
    let server = Server::accepting(1, population)?;
    keeping(Project::new(setting, SHORT_RETRIES)?, |project| {
        let csv = project.campaign("rate", 0, population)?;
        project.call(&["enqueue", &csv])?;
        send(setting, part, project, &server)?;
        let times = server.ledger().begun_at();
        check_times(&times, part, report);
        report.figure("duplicates", server.ledger().duplicates());
        let verified = project.json(&["verify"])?;
        let findings = &verified["findings"];
        report.check(verified["ok"] == true, format_args!("verify: {findings}"));
        Ok(())
    })
}

fn check_times(times: &[Instant], part: Part, report: &mut Report) {
    report.figure("MAIL FROM counted", times.len());
    let most = busiest(times, MINUTE) as u64;
    report.at_most("most in any 60 s", most, part.per_minute);
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return report.fail("nothing was sent");
    };
    let lasted = *last - *first;
    report.check(
        lasted + Duration::from_secs(8) > part.lasts,
        format_args!("mail flowed for {lasted:.1?} only"),
    );
    let possible = lasted.as_secs_f64() * part.per_minute as f64 / 60.0;
    let used = (times.len() - 1) as f64 / possible;
    // A killed worker takes the slots of its claims with it; in a short run, beside other tests, one slot weighs.
    let lost = match part.lasts < 2 * MINUTE {
        true => (1 + 2 * part.kills) as f64 / possible,
        false => 0.0,
    };
    report.at_least("share of the rate used", used, 0.98 - lost);
}

fn send(setting: &Setting, part: Part, project: &Project, server: &Server) -> anyhow::Result<()> {
    let rate = format!("{}/min", part.per_minute);
    let url = server.url(0);
    let start = |number: usize| {
        let arguments = ["send", "--rate", &rate, "--relay", &url];
        Process::start(project, &format!("worker{number}"), &arguments)
    };
    let mut random = setting.random();
    let began_at = Instant::now();
    let mut workers = (0..part.workers)
        .map(start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    for kill in 1..=part.kills {
        let share = (kill as f64 + random.f64() * 0.5) / (part.kills as f64 + 1.0);
        sleep_until(began_at + part.lasts.mul_f64(share.min(0.9)));
        let victim = random.usize(..part.workers);
        workers[victim].kill()?;
        std::thread::sleep(Duration::from_secs(1));
        workers[victim] = start(victim)?;
    }
    sleep_until(began_at + part.lasts);
    for worker in &mut workers {
        worker.signal(Signal::TERM)?;
    }
    for worker in &mut workers {
        worker.wait_for_success(Duration::from_secs(30))?;
    }
    Ok(())
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// The most times that lie in one window, wherever it begins. `times` in order.
fn busiest(times: &[Instant], window: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in times.iter().enumerate() {
        while *at - times[first] >= window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}
