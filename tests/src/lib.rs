//! Scenario tests: real drops on a real kernel.
//!
//! Each case makes network namespaces of its own, sends exactly N packets that meet a known fate, and netdrop must
//! report exactly N at that reason, function, device and namespace. What other tests of netdrop as a whole share with them
//! (namespaces, traffic, the runner) is in here too.

#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "a library for the tests of this workspace alone"
)]

pub mod batch;
pub mod bpf;
pub mod command;
pub mod daemon;
pub mod doctor;
pub mod judge;
pub mod lab;
pub mod netdrop;
pub mod observer;
pub mod reasons;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod scenarios;
pub mod tcp;
pub mod told;
pub mod trace;
pub mod traffic;
