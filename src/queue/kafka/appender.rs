//! Appends records in order and finds out where they stand.

use super::context::Context;
use super::failure::Explainer;
use super::pipeline::{Pipeline, Pipelines};
use super::producer::{Append, Producer, partly};
use super::settings::KafkaSettings;
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::{QueueError, Record};
use std::time::{Duration, Instant};

pub(super) struct Appender {
    producer: Producer,
    pipelines: Pipelines,
}

/// Where the records of an append stand. All of them are acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    At(Vec<Offset>),
    /// A batch that was sent twice may be acknowledged without an offset. If its records are in the log, they are there in
    /// order, at or above this offset; `None`: among the last records.
    From(Option<Offset>),
}

impl Appender {
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
    ) -> Result<Appender, QueueError> {
        Ok(Appender {
            producer: Producer::start(settings, context, explainer)?,
            pipelines: Pipelines::default(),
        })
    }

    /// Resolves when all are acknowledged by all replicas in sync. `place`: the topic's name and the partition.
    pub async fn append(
        &self,
        at: TopicPartition,
        place: (String, i32),
        records: &[Record],
    ) -> Result<Appended, QueueError> {
        self.producer.check(at.topic, records)?;
        let pipeline = self.pipelines.of(at);
        let append = Append {
            at,
            place,
            begun: Instant::now(),
        };
        let above = pipeline.open_above();
        let alone = usize::from(above.is_none()).min(records.len());
        let (first, rest) = records.split_at(alone);
        let mut offsets = self.send_alone(&append, first, &pipeline).await?;
        let rest = self.producer.send_all(&append, rest).await;
        offsets.extend(rest.map_err(|error| partly(offsets.len(), records.len(), error))?);
        match plausible(above, &offsets) {
            Some(offsets) => {
                self.found(at, &offsets);
                Ok(Appended::At(offsets))
            }
            None => {
                let first = offsets.first().copied().flatten();
                Ok(Appended::From(above.map(|above| above + 1).or(first)))
            }
        }
    }

    /// Opens a partition's pipeline with one record, after other appends that do the same.
    async fn send_alone(
        &self,
        append: &Append,
        first: &[Record],
        pipeline: &Pipeline,
    ) -> Result<Vec<Option<Offset>>, QueueError> {
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.producer.limit().unwrap_or(Duration::MAX);
        let turn = tokio::time::timeout(limit, pipeline.turn()).await;
        let _turn = turn.map_err(|_| {
            let what = "an earlier record is not acknowledged";
            self.producer.away(append.at.topic, what)
        })?;
        let offsets = self.producer.send_all(append, first).await?;
        if let Some(Some(offset)) = offsets.first() {
            pipeline.acknowledged(*offset);
        }
        Ok(offsets)
    }

    /// Acknowledged records stand at these offsets.
    pub fn found(&self, at: TopicPartition, offsets: &[Offset]) {
        if let Some(last) = offsets.last() {
            self.pipelines.of(at).acknowledged(*last);
        }
    }

    /// Records that were acknowledged are not in the log. What is known of the partition may be wrong, so its pipeline
    /// is opened again.
    pub fn lost_track(&self, at: TopicPartition) -> QueueError {
        self.pipelines.of(at).close();
        unplaced(at)
    }

    /// Waits until all records are acknowledged, for so long at the most.
    pub fn flush(&self, longest: Duration) {
        self.producer.flush(longest);
    }
}

/// The offsets, if every record has one and they can be right. When a broker answers that it has a batch already,
/// librdkafka numbers the records of the batch from -1, so that the second one seems to have offset 0.
fn plausible(above: Option<Offset>, offsets: &[Option<Offset>]) -> Option<Vec<Offset>> {
    let offsets: Vec<Offset> = offsets.iter().copied().collect::<Option<_>>()?;
    let is_above = above.is_none_or(|above| offsets.first().is_none_or(|first| *first > above));
    let is_ascending = offsets.is_sorted_by(|one, next| one < next);
    (is_above && is_ascending).then_some(offsets)
}

fn unplaced(at: TopicPartition) -> QueueError {
    QueueError::Unknown(format!(
        "records of {at} were acknowledged without an offset"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_librdkafka_has_counted_on_from_minus_one_are_not_plausible() {
        let offsets = |range: std::ops::Range<Offset>| range.map(Some).collect::<Vec<_>>();
        assert_eq!(plausible(None, &offsets(0..2)), Some(vec![0, 1]));
        assert_eq!(plausible(Some(6), &offsets(7..9)), Some(vec![7, 8]));
        assert_eq!(plausible(Some(6), &[]), Some(Vec::new()));
        let counted_on = [vec![None], offsets(0..2)].concat();
        assert_eq!(plausible(Some(6), &counted_on), None);
        // The first record of the batch belongs to another append.
        assert_eq!(plausible(Some(6), &offsets(0..2)), None);
        assert_eq!(plausible(Some(6), &[Some(7), Some(0)]), None);
    }
}
