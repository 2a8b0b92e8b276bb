//! Peak memory of enqueue at a tenth of the list and at the whole list, where one mail has several rows, and where the
//! list is a workbook.

use super::keeping;
use crate::acceptance::Setting;
use crate::acceptance::process::Process;
use crate::acceptance::project::{Project, site_of};
use crate::acceptance::report::Report;
use crate::acceptance::workbook;
use anyhow::Context;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const MESSAGE_BYTES: usize = 5700;
const MOST_MEGABYTES: u64 = 200;
const MOST_GROWTH_MEGABYTES: u64 = 40;
/// Three cells: their texts in the workbook's table, once more as cells of the sheet, and what an allocation costs.
const BYTES_OF_SHEET_ROW: u64 = 512;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let whole = u32::try_from(setting.count)?;
    let mut peaks = Vec::new();
    for rows in [whole / 10, whole] {
        let megabytes = peak_bytes(setting, rows)?.div_ceil(1 << 20);
        report.at_most(
            &format!("peak MB at {rows} rows"),
            megabytes,
            MOST_MEGABYTES,
        );
        peaks.push(megabytes);
    }
    let growth = peaks[1].saturating_sub(peaks[0]);
    report.at_most("growth in MB", growth, MOST_GROWTH_MEGABYTES);
    Ok(())
}

/// Three rows a mailbox, far apart.
pub fn run_group(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let mailboxes = u32::try_from(setting.count.div_ceil(3))?;
    let rows = 3 * u64::from(mailboxes);
    let numbers: Vec<u32> = (0..3).flat_map(|_| 0..mailboxes).collect();
    let peak = keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign_of("group", &numbers, 1000)?;
        let campaign = project.path().join("group.toml");
        let settings = fs::read_to_string(&campaign)?;
        fs::write(&campaign, settings + "group = true\n")?;
        let peak = peak_of_enqueue(project, &csv)?;
        let status = project.json(&["status"])?;
        expect_mails(&status, u64::from(mailboxes), report)?;
        Ok(peak)
    })?;
    let most = (64 << 20) + 24 * rows;
    report.at_most(&format!("peak bytes at {rows} rows"), peak, most);
    Ok(())
}

/// A list as a workbook, which is read into memory as a whole.
pub fn run_sheet(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let rows = u32::try_from(setting.count)?;
    let peak = keeping(Project::new(setting, "")?, |project| {
        project.campaign_of("sheet", &[], 1000)?;
        let header = ["email", "name", "city"].map(str::to_string).to_vec();
        let cells = |number| {
            let city = format!("City {}", site_of(number));
            vec![Project::address(number), format!("Name {number}"), city]
        };
        let book = std::iter::once(header).chain((0..rows).map(cells));
        workbook::write(&project.path().join("sheet.xlsx"), book)?;
        let campaign = project.path().join("sheet.toml");
        let settings = fs::read_to_string(&campaign)?;
        fs::write(&campaign, settings + "recipients = \"sheet.xlsx\"\n")?;
        let began_at = Instant::now();
        let peak = peak_of_enqueue(project, "sheet.toml")?;
        report.figure("enqueued in", format!("{:.1?}", began_at.elapsed()));
        expect_mails(&project.json(&["status"])?, u64::from(rows), report)?;
        Ok(peak)
    })?;
    let most = (64 << 20) + BYTES_OF_SHEET_ROW * u64::from(rows);
    report.at_most(&format!("peak bytes at {rows} rows"), peak, most);
    Ok(())
}

fn expect_mails(status: &Value, wanted: u64, report: &mut Report) -> anyhow::Result<()> {
    let mails = status["campaigns"][0]["enqueued"].as_u64();
    let mails = mails.context("`mailq status` shows no campaign")?;
    report.expect("mails", mails, wanted);
    Ok(())
}

fn peak_bytes(setting: &Setting, rows: u32) -> anyhow::Result<u64> {
    keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign_of_size("memory", 0, rows, MESSAGE_BYTES)?;
        peak_of_enqueue(project, &csv)
    })
}

fn peak_of_enqueue(project: &Project, csv: &str) -> anyhow::Result<u64> {
    let mut process = Process::start(project, "enqueue", &["enqueue", csv])?;
    let mut most = 0;
    while process.ended()?.is_none() {
        most = process.peak_memory_bytes().unwrap_or(0).max(most);
        std::thread::sleep(Duration::from_millis(5));
    }
    process.wait_for_success(Duration::ZERO)?;
    Ok(most)
}
