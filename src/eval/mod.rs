//! Measurement: how fast the phases and the strategies are.

pub mod bench;
pub mod end_to_end;
pub mod tasks;
