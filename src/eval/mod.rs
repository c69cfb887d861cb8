//! Measurement: how fast the phases and the strategies are, how close texts come to their references, and whether
//! strategies write the same text.

pub mod benchmark;
pub mod correctness;
pub mod datasets;
pub mod end_to_end;
pub mod identity;
pub mod interval;
pub mod machine;
pub mod metrics;
pub mod output_folder;
pub mod phases;
pub mod run;
pub mod sweep;
pub mod tasks;
pub mod ways;
