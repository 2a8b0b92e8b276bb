//! As many connections as this process may open files. Without a descriptor a connection fails as if its relay were
//! away, and the queue as if its file were.

use crate::commands::text::counted;
use crate::commands::{Failure, MORE_FILES};
use crate::engine::worker::RelayLane;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the lock of the member, the queue and the metrics need beside what is open when the worker starts.
const RESERVE: u64 = 8;
/// With fewer than this nothing can be sent.
const LEAST: u64 = 4;

/// Raises the limit as far as the system allows, and lowers the connections to what there is room for. Returns a line if
/// it did. Errors: there is no room for one connection.
pub fn fit(lanes: &mut [RelayLane]) -> Result<Option<String>, Failure> {
    let Ok(open) = std::fs::read_dir("/proc/self/fd").map(Iterator::count) else {
        return Ok(None);
    };
    // The listing had one itself.
    let open = open.saturating_sub(1) as u64;
    let wanted: usize = lanes.iter().map(|lane| lane.connections).sum();
    let Some(limit) = raised(open + RESERVE + wanted as u64) else {
        return Ok(None);
    };
    if limit < open + LEAST {
        let files = counted(limit, "file");
        let what = format!(
            "this process may open {files}, and needs {}; nothing was sent",
            open + RESERVE + 1
        );
        return Err(Failure::try_later(what).with_hint(MORE_FILES));
    }
    let room = usize::try_from(limit.saturating_sub(open + RESERVE)).unwrap_or(usize::MAX);
    if room >= wanted {
        return Ok(None);
    }
    shrink(lanes, wanted, room);
    let left: usize = lanes.iter().map(|lane| lane.connections).sum();
    Ok(Some(format!(
        "warning: {left} instead of {}, because this process may open only {}\nhint: {MORE_FILES}",
        counted(wanted as u64, "connection"),
        counted(limit, "file")
    )))
}

/// The limit, raised to this many if the system lets us. `None`: there is none.
fn raised(needed: u64) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let limit = current?;
    let most = needed.min(maximum.unwrap_or(u64::MAX));
    if limit >= most {
        return Some(limit);
    }
    let more = Rlimit {
        current: Some(most),
        maximum,
    };
    Some(setrlimit(Resource::Nofile, more).map_or(limit, |()| most))
}

/// In proportion, and one for each relay.
fn shrink(lanes: &mut [RelayLane], wanted: usize, room: usize) {
    for lane in lanes {
        lane.connections = (lane.connections * room / wanted.max(1)).max(1);
        lane.most_connections = lane.most_connections.min(room).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rate::Rate;
    use crate::smtp::{Capabilities, Feed, Relay, SessionEnd};
    use std::rc::Rc;

    struct NoRelay;

    #[async_trait::async_trait(?Send)]
    impl Relay for NoRelay {
        fn name(&self) -> &str {
            "relay"
        }

        async fn run_session(&self, _: &dyn Feed) -> SessionEnd {
            SessionEnd::Finished
        }

        async fn probe(&self) -> Result<Capabilities, SessionEnd> {
            Ok(Capabilities::default())
        }
    }

    fn lane(connections: usize) -> RelayLane {
        RelayLane {
            relay: Rc::new(NoRelay),
            connections,
            most_connections: 20,
            weight: 1,
            rate: Rate::Unlimited,
            quota: None,
        }
    }

    #[test]
    fn connections_shrink_to_what_there_is_room_for() {
        for (room, expected) in [(10, [7, 2]), (1, [1, 1]), (0, [1, 1])] {
            let mut lanes = [lane(15), lane(5)];
            shrink(&mut lanes, 20, room);
            assert_eq!(lanes.each_ref().map(|lane| lane.connections), expected);
            assert!(
                lanes
                    .iter()
                    .all(|lane| lane.most_connections <= room.max(1))
            );
        }
    }
}
