//! Enqueue over the queue in memory: what is promised, as a worker that reads the chunks would see it.

mod kills;
mod promises;
mod strain;
mod world;
