//! Durations, counted by upper bounds.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, ascending.
    bounds: &'static [f64],
    /// One for each bound; longer durations are only in `count`.
    counts: Vec<u64>,
    count: u64,
    sum_seconds: f64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram {
            bounds,
            counts: vec![0; bounds.len()],
            count: 0,
            sum_seconds: 0.0,
        }
    }

    pub fn observe(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum_seconds += seconds;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_seconds
    }

    /// Upper bounds in seconds, the last one infinite, each with the durations between it and the bound before.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let longer = self.count - self.counts.iter().sum::<u64>();
        let bounds = self.bounds.iter().copied();
        let known = bounds.zip(self.counts.iter().copied());
        known
            .chain(std::iter::once((f64::INFINITY, longer)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_duration_once_below_its_bound() {
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        for milliseconds in [0, 100, 101, 1_000, 5_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let buckets = [(0.1, 2), (1.0, 2), (f64::INFINITY, 1)];
        assert_eq!(histogram.buckets(), buckets);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum_seconds() - 6.201).abs() < 1e-9);
    }
}
