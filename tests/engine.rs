//! What the engine makes of queues as workers and enqueue leave them: read, counted, proved, changed.

mod control;
mod enqueue;
mod events;
mod given_rate;
mod histories;
mod listing;
mod recover;
mod remaining;
mod replay;
mod retention;
mod shares;
mod starting_point;
mod status;
mod verify;
