//! The playground tried as a whole: keys pressed, events reported by a fake engine, screens read.

mod chat;
mod controls;
mod drafts;
mod footer;
mod lens;
mod loading;
mod overlays;
mod race;
mod random;
mod replay;
mod screens;
mod sessions;
mod steps;
mod support;
mod sweep;
mod transcript;
mod transitions;
mod what_if;
