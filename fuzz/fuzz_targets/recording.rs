//! Any bytes as a recording, plain or compressed: what is read makes a table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netdrop::aggregate::By;
use netdrop::output::{Json, Output};
use netdrop::recording::{Lines, Replay, Window, sum};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut lines) = Lines::new("input", bytes) else { return };
    let by_flow = "reason,flow".parse().expect("both are dimensions");
    let mut replays = [By::default(), by_flow].map(|by| Replay::new(by, Window::default()));
    while let Ok(Some(line)) = lines.next_line() {
        for replay in &mut replays {
            if replay.take(&line).is_err() {
                return;
            }
        }
    }
    for mut replay in replays {
        if replay.finish().is_ok() {
            let mut out = Vec::new();
            Json::new().end(&sum(replay.into_summaries()), &mut out);
            assert!(out.ends_with(b"\n"));
        }
    }
});
