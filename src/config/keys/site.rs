//! The keys of a `[site."gmail.com"]`.

use crate::config::declare::keys;
use crate::config::schema::Limits;
use crate::domain::rate::Rate;

keys! {
    /// Limits for a receiving provider, which is named by its domain.
    pub struct SiteKeys in "site" as Labelled {
        /// Most messages to this provider, all workers together: `20/s`, `500/min`
        rate: Option<Rate> {
            default_text: "no limit except `rate` in `[send]`",
            example: "20/s",
        }

        /// Connections of one worker that may carry mail for this provider at the same time
        connections: Option<u32> {
            default_text: "no limit except `connections` in `[send]`",
            limits: Limits::Whole(1, 10_000),
            example: "5",
        }
    }
}
