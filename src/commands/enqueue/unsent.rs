//! What other runs of a campaign still have to send. `--only-new` leaves their recipients out, so it says that nobody of
//! them gets the new text.

use crate::clock::Clock;
use crate::commands::Failure;
use crate::commands::project::OpenProject;
use crate::commands::text::counted;
use crate::engine::account::{self, CampaignRow, State};
use crate::engine::enqueue::{EnqueueReport, UnsentRun};

/// The runs of the campaign, besides the report's own, that have something to send.
pub async fn unsent(
    project: &OpenProject,
    report: &EnqueueReport,
) -> Result<Vec<UnsentRun>, Failure> {
    let campaign = Some(report.campaign.as_str());
    let status = account::status(project.queue.as_ref(), project.clock.now(), campaign).await?;
    let is_other = |row: &&CampaignRow| row.key != report.key && row.state != State::Enqueuing;
    let rows = status.campaigns.iter().filter(is_other);
    let runs = rows.map(|row| UnsentRun {
        run: row.run.clone(),
        pending: row.unfinished(),
        is_paused: row.state == State::Paused,
    });
    Ok(runs.filter(|run| run.pending > 0).collect())
}

/// One line for all of them. `None`: there are none.
pub fn line(report: &EnqueueReport) -> Option<String> {
    let (all, campaign) = (&report.unsent, &report.campaign);
    let messages: u64 = all.iter().map(|run| run.pending).sum();
    let of = |run: &UnsentRun| format!("{} of run `{}`", counted(run.pending, "message"), run.run);
    let runs: Vec<String> = all.iter().map(of).collect();
    let (are, them) = match messages {
        0 => return None,
        1 => ("is still pending and keeps its", "it"),
        _ => ("are still pending and keep their", "them"),
    };
    let send = match all.iter().any(|run| run.is_paused) {
        true => format!("`mailq resume {campaign}` and then `mailq send` send"),
        false => "`mailq send` sends".to_string(),
    };
    Some(format!(
        "warning: {campaign}: {} {are} old text; {send} {them}, `--replace` cancels {them} and sends the new text",
        runs.join(" and ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;
    use crate::domain::records::Tally;
    use std::time::Duration;

    fn shown(runs: &[(&str, u64, bool)]) -> Option<String> {
        let id = RunId::new("spring".to_string(), "3".to_string());
        let runs = runs.iter().map(|(run, pending, is_paused)| UnsentRun {
            run: run.to_string(),
            pending: *pending,
            is_paused: *is_paused,
        });
        line(&EnqueueReport {
            unsent: runs.collect(),
            ..EnqueueReport::new(&id, Tally::default(), Duration::ZERO)
        })
    }

    #[test]
    fn the_line_names_every_run_and_what_to_do() {
        assert_eq!(shown(&[]), None);
        assert_eq!(
            shown(&[("1", 1, false)]).unwrap(),
            "warning: spring: 1 message of run `1` is still pending and keeps its old text; `mailq send` sends it, \
`--replace` cancels it and sends the new text"
        );
        assert_eq!(
            shown(&[("1", 1, true), ("2", 1200, true)]).unwrap(),
            "warning: spring: 1 message of run `1` and 1,200 messages of run `2` are still pending and keep their old \
text; `mailq resume spring` and then `mailq send` send them, `--replace` cancels them and sends the new text"
        );
    }
}
