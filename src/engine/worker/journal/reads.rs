//! Reading ahead: what was read goes to the machines that asked for it, and the next reads start.

use super::Journal;
use super::gates::Gates;
use crate::engine::worker::reader::{Read, Reader};
use crate::engine::worker::settings::Notice;
use crate::queue::QueueError;

impl Journal {
    /// Hands what was read to the machines that asked for it.
    pub(super) fn take_reads(&mut self) {
        let mut failed = None;
        for (at, token, read) in self.inbox.reads() {
            let Some(machine) = self.partitions.under(at, token) else {
                continue;
            };
            let taken = match read {
                Ok(Read::Contents(offset, chunk, appended_at)) => {
                    machine.supply(offset, chunk, appended_at)
                }
                Ok(Read::Found(found)) => machine.found(found),
                Ok(Read::Nothing) => {
                    let now = self.setup.clock.since_boot();
                    self.partitions.found_empty(at, now);
                    Ok(())
                }
                Err(QueueError::BelowLowWatermark { low_watermark, .. }) => {
                    machine.raise_low_watermark(low_watermark)
                }
                Err(error @ (QueueError::BadRecord { .. } | QueueError::Damaged { .. })) => {
                    self.stop_partition(at, error.to_string());
                    Ok(())
                }
                // It would fail again for as long as this process runs.
                Err(error @ (QueueError::Broken { .. } | QueueError::NoThread(_))) => {
                    failed = Some(error);
                    Ok(())
                }
                // The cycle ends with it.
                Err(QueueError::Gone { .. }) => Ok(()),
                Err(error) => {
                    self.observer
                        .notice(Notice::QueueTrouble(error.to_string()));
                    Ok(())
                }
            };
            self.partitions.read_ended(at);
            self.or_stop_partition(at, taken);
        }
        if let Some(error) = failed {
            self.fail_with(error.into());
        }
    }

    /// Starts the reads that the machines want. An empty tier is looked at again at each tick.
    pub(super) fn start_reads(&mut self) {
        let empty_since = self.setup.clock.since_boot().checked_sub(super::TICK);
        let gates = Gates::new(&self.lanes);
        let view = gates.view(&self.followed.ledger, self.setup.clock.now());
        for job in self.partitions.reads(&view, empty_since) {
            let inbox = self.inbox.clone();
            let reader = Reader {
                queue: self.setup.queue.clone(),
                at: job.at,
                epoch: job.epoch,
                threads: self.setup.decode_on_threads,
            };
            tokio::task::spawn_local(async move {
                let read = reader.read(job.want).await;
                inbox.put_read((job.at, job.token, read));
            });
        }
    }
}
