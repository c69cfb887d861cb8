//! Measurements: speed of phases and strategies, similarity of texts to their references, and equality of the texts of
//! strategies.

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
