//! No worker runs for so long that the queue forgets every commit. After clean stops the next worker continues; after a
//! kill it refuses, and `recover` lists the recipients who may get a duplicate.

use super::world::{LEASE, Watcher, World};
use mailq::domain::site::Sites;
use mailq::engine::recover::{Recovery, recover};
use mailq::engine::worker::{self, Stop, WorkerError};
use mailq_testkit::memory::Faults;
use std::rc::Rc;
use std::time::Duration;

pub async fn run(world: &mut World) -> Result<(), String> {
    let faults = world.profile.faults();
    world.wake_all();
    world.log.set_faults(Faults::none());
    let is_clean = world.profile.is_clean() || world.random.bool();
    if is_clean {
        for worker in &world.workers {
            worker.stop.ask();
        }
        while !world.workers.is_empty() {
            world.drive(Duration::from_secs(1), false).await;
        }
    } else {
        world.kills += world.workers.len() as u32;
        for worker in std::mem::take(&mut world.workers) {
            drop(worker.process);
            world.log.kill(worker.id);
        }
    }
    world.drive(LEASE + Duration::from_secs(12), false).await;
    while !world.log.expire_commits() {
        world.drive(LEASE, false).await;
    }
    // A worker that was killed earlier, and whose partitions were not taken over, did not stop cleanly either.
    let may_refuse = !is_clean || world.profile.has_faults();
    match refusal(world).await {
        true if may_refuse => repair(world).await?,
        true => return Err("refused after clean stops".into()),
        false => {}
    }
    world.log.set_faults(faults);
    world.start_worker();
    world.start_worker();
    Ok(())
}

async fn repair(world: &mut World) -> Result<(), String> {
    let queue = world.log.start_process();
    let clock = world.log.clock();
    let recovery = Recovery {
        queue: &queue,
        clock: &clock,
        name: "recover".into(),
        sites: &Sites::default(),
        to_earliest: world.random.u32(..4) == 0,
        dry_run: false,
        folder: &std::env::temp_dir(),
    };
    let recovered = recover(&recovery)
        .await
        .map_err(|error| error.to_string())?;
    if recovered.partitions.is_empty() {
        return Err("nothing was lost, and a worker refused".into());
    }
    if std::env::var_os("MAILQ_TRACE").is_some() {
        println!("{recovered:?} {}", recovery.to_earliest);
    }
    world.recovered = Some(recovered);
    match refusal(world).await {
        true => Err("refused after recover".into()),
        false => Ok(()),
    }
}

/// Whether a worker that starts now refuses to.
async fn refusal(world: &mut World) -> bool {
    let queue = Rc::new(world.log.start_process());
    let id = queue.process_id();
    let setup = world.setup(queue);
    let stop = Rc::new(Stop::default());
    stop.ask();
    let observer = Rc::new(Watcher {
        is_traced: false,
        id,
        clock: world.log.clock(),
        changes: world.changes.clone(),
    });
    let set = tokio::task::LocalSet::new();
    match set.run_until(worker::run(setup, stop, observer)).await {
        Err(WorkerError::CommitsLost(_)) => true,
        Ok(_) => false,
        Err(other) => panic!("{other}"),
    }
}
