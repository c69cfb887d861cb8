//! The playground tried as a whole: keys pressed, events reported by a fake engine, screens read.

mod answers;
mod chat;
mod commands;
mod context;
mod controls;
mod drafts;
mod find;
mod footer;
mod lens;
mod loading;
mod menu;
mod models;
mod overlays;
mod queue;
mod race;
mod random;
mod remote;
mod replay;
mod screens;
mod sessions;
mod steps;
mod support;
mod sweep;
mod transcript;
mod transitions;
mod what_if;
