//! Floor 2: campaigns into the queue and messages out of it. Built from the floor below, knows nothing of commands.

pub mod breaker;
pub mod enqueue;
pub mod pacer;
pub mod policy;
