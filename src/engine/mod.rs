//! Floor 2: campaigns into the queue and messages out of it. Built from the floor below, knows nothing of commands.

pub mod account;
pub mod breaker;
pub mod control;
pub mod enqueue;
pub mod given_rate;
pub mod lane_rows;
pub mod letters;
pub mod limits;
pub mod policy;
pub mod read_model;
pub mod recover;
pub mod retention;
pub mod starting_point;
pub mod suppress;
pub mod timestamp;
pub mod worker;
