//! The acceptance lines, small: the real program is killed, stopped and woken, and a relay counts every recipient. In
//! full they are scripts/acceptance.sh.

use mailq_testkit::acceptance::{Line, Setting, lines, report_of};

fn small(line: Line, count: u64) {
    let setting = Setting {
        mailq: env!("CARGO_BIN_EXE_mailq").into(),
        count,
        seed: fastrand::u64(..1_000_000),
    };
    let report = report_of(line, &setting);
    assert!(report.holds(), "seed {}\n{report}", setting.seed);
}

#[test]
fn kills_lose_nobody_and_name_every_duplicate() {
    small(lines::kill::run, 10);
}

#[test]
fn clean_stops_lose_nobody_and_send_nothing_twice() {
    small(lines::kill::run_term, 10);
}

#[test]
fn a_woken_worker_begins_nothing_that_it_had_claimed() {
    small(lines::pause::run, 5);
}

#[test]
fn enqueue_killed_and_run_again_enqueues_everyone_once() {
    small(lines::enqueue_kill::run, 5);
}

#[test]
fn no_window_holds_more_than_the_rate() {
    small(lines::rate::run_small, 68);
}

#[test]
fn every_reply_puts_its_recipient_in_the_right_place() {
    small(lines::replies::run, 400);
}

#[test]
fn a_relay_that_goes_away_costs_nobody_a_try() {
    small(lines::outage::run, 5);
}

#[test]
fn a_paused_run_holds_nothing_else_back() {
    small(lines::paused::run, 4000);
}

#[test]
fn rows_of_one_address_are_one_mail_in_flat_memory() {
    small(lines::memory::run_group, 3_000);
}

#[test]
fn a_workbook_takes_the_memory_of_its_texts() {
    small(lines::memory::run_sheet, 3_000);
}

#[test]
fn a_campaign_changed_again_and_again_reaches_everyone_once() {
    small(lines::changed::run, 10);
}

#[test]
fn retries_are_spread_over_the_whole_jitter() {
    small(lines::spread::run, 1_000);
}

#[test]
fn a_stop_waits_for_what_a_slow_relay_has_and_begins_nothing() {
    small(lines::slow_stop::run, 1);
}

#[test]
fn a_queue_that_is_gone_is_noticed() {
    small(lines::gone::run, 4);
}

#[test]
fn whoever_counts_agrees() {
    small(lines::million::run, 5000);
}

/// The same over real brokers. They take turns: workers, brokers and the relay of one are enough for two processors.
#[cfg(feature = "kafka")]
mod over_kafka {
    use mailq_testkit::acceptance::{Line, lines::kafka};
    use mailq_testkit::kafka::missing;
    use std::sync::{Mutex, PoisonError};

    static TURN: Mutex<()> = Mutex::new(());

    fn small(line: Line, count: u64) {
        if let Some(why) = missing() {
            println!("skipped: {why}");
            return;
        }
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        super::small(line, count);
    }

    #[test]
    fn kills_lose_nobody_and_name_every_duplicate() {
        small(kafka::kill::run_small, 3);
    }

    #[test]
    fn a_woken_worker_begins_nothing_that_it_had_claimed() {
        small(kafka::pause::run, 1);
    }

    #[test]
    fn workers_that_come_and_go_send_nothing_twice() {
        small(kafka::rolling::run, 6);
    }

    #[test]
    fn a_killed_broker_costs_seconds_and_nothing_else() {
        small(kafka::brokers::run, 2);
    }

    #[test]
    fn lost_offsets_are_restored_or_refused() {
        small(kafka::offsets::run, 4000);
    }

    #[test]
    fn tools_read_what_is_there() {
        small(kafka::tools::run, 1200);
    }
}
