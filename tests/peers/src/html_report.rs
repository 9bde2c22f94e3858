//! `netdrop report --format html` and `--format flamegraph` in a browser: they open from a file, do what is clicked, and the browser has nothing to
//! complain about.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use netdrop_tests::lab::{Folder, Lab, until};
use netdrop_tests::netdrop::{Netdrop, run_to_end};
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, systems};

use crate::browser::Page;
use nix::sys::signal::Signal;

const LONG: Duration = Duration::from_secs(30);
/// Drops of each kind in the recording.
const DROPS: u64 = 60;
/// In every call chain of a packet that was received: nothing calls it but by its address, so that no compiler inlines it.
const SOFTIRQ: &str = "net_rx_action";
/// A name that would be markup, were it not kept from it. An interface's may have 15 bytes and no slash.
const HOSTILE: &str = "<img src=x:1>&\"";

pub fn cases() -> Vec<Case> {
    systems([
        ("html-report-shows-a-recording", shows_a_recording),
        ("html-report-keeps-hostile-names-text", keeps_hostile_names_text),
        ("flame-graph-zooms-and-searches", flame_graph),
    ])
}

/// Real drops: a closed port on the loopback, seen with call chains.
fn record(bench: &Bench, folder: &Folder) -> Result<String> {
    let recording = folder.file("drops.jsonl.zst");
    let lab = Lab::alone()?;
    let inode = lab.receiver.inode().to_string();
    let flags = ["--all", "--stack", "--interval", "100ms", "--netns", &inode];
    let mut run = Netdrop::start(&bench.netdrop, &[&flags[..], &["--output", &recording]].concat())?;
    let witness = Netdrop::start(&bench.netdrop, &["--netns", &inode])?;
    lab.receiver.enter(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..DROPS {
            socket.send_to(b"nobody", "127.0.0.1:9")?;
            // The port's refusal is told by the next call.
            let _ = socket.take_error();
        }
        Ok(())
    })?;
    until("the drops to be counted", LONG, || {
        let seen = witness.drops_so_far().len() as u64;
        Ok((seen >= DROPS).then_some(()))
    })?;
    run.signal(Signal::SIGINT)?;
    let (status, _, stderr) = run.wait()?;
    ensure!(status.success(), "{status}: {}", stderr.trim());
    Ok(recording)
}

/// Writes a report into a file.
fn report(bench: &Bench, folder: &Folder, format: &str, recording: &str, name: &str) -> Result<PathBuf> {
    let ended = run_to_end(Command::new(&bench.netdrop).args(["report", "--format", format, recording]))?;
    ensure!(ended.code == Some(0), "report ended with {:?}: {}", ended.code, ended.stderr.trim());
    let path = PathBuf::from(folder.file(name));
    fs::write(&path, ended.stdout)?;
    Ok(path)
}

fn open(file: &Path) -> Result<Page> {
    Page::open(&format!("file://{}", file.display()))
}

fn shows_a_recording(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let recording = record(bench, &folder)?;
    let page = open(&report(bench, &folder, "html", &recording, "drops.html")?)?;
    page.until("the page", "document.documentElement.dataset.ready === 'true'")?;
    page.look(1280, 1700, "light")?;
    page.until("light", "document.documentElement.dataset.theme === 'light'")?;

    let row = "[...document.querySelectorAll('tr.kind')].find(row => row.textContent.includes('NO_SOCKET'))";
    ensure!(
        page.ask(&format!("{row}.querySelector('.num').textContent"))? == DROPS.to_string(),
        "not {DROPS} drops"
    );
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(page.ask("document.querySelector('#place').textContent")?.contains(release.trim()), "no kernel");
    ensure!(
        page.ask("document.querySelectorAll('#timeline .column rect:not(.hit)').length > 0")? == "true",
        "no timeline"
    );
    ensure!(
        page.ask("document.querySelector('.balance').textContent.startsWith('✓')")? == "true",
        "no balance"
    );
    let light = page.picture("html-report-light")?;

    // A row opens by a click: meaning, where, flows, call chain, packets.
    page.ask(&format!("{row}.click()"))?;
    page.until("the details", "document.querySelector('.drill') !== null")?;
    let drill = page.ask("document.querySelector('.drill').innerText")?;
    for part in ["REMEDY", "WHERE", "FLOWS", "CALL CHAINS", "127.0.0.1:9", SOFTIRQ, "PACKETS: 15 OF 60"] {
        let is_there = drill.to_uppercase().contains(&part.to_uppercase());
        ensure!(is_there, "no {part} in the details:\n{drill}");
    }
    ensure!(page.ask("document.querySelectorAll('details.packet').length")? == "15", "not 15 packets");
    page.ask("document.querySelector('details.packet').open = true")?;
    page.until(
        "a packet's fields",
        "document.querySelector('.fields')?.innerText.includes('packet.destination.port')",
    )?;
    page.picture("html-report-open")?;

    // By the keyboard: / to the filter, and nothing is left of what doesn't match.
    page.press("/")?;
    page.until("the filter's focus", "document.activeElement.id === 'filter'")?;
    page.type_text("127.0.0.1:9 no_socket")?;
    page.until(
        "the filtered rows",
        &format!("document.querySelectorAll('tr.kind').length === 1 && {row} !== undefined"),
    )?;
    page.type_text(" nothing like it")?;
    page.until("no rows", "document.querySelectorAll('tr.kind').length === 0")?;
    page.press("Escape")?;
    page.until("all rows", &format!("{row} !== undefined"))?;
    page.ask(&format!("{row}.querySelector('.opener').focus()"))?;
    page.press("Enter")?;
    page.until("the closed row", "document.querySelector('.drill') === null")?;

    // A class that isn't wanted takes its rows with it.
    let class = "document.querySelector('#legend [data-class=no-receiver]')";
    page.ask(&format!("{class}.click()"))?;
    page.until("the row to go", &format!("{row} === undefined"))?;
    page.ask(&format!("{class}.click()"))?;
    page.until("the row to come back", &format!("{row} !== undefined"))?;

    // Dark as the system, and light again by the button, which then wins.
    page.look(1280, 1700, "dark")?;
    page.until("dark", "document.documentElement.dataset.theme === 'dark'")?;
    let dark = page.picture("html-report-dark")?;
    ensure!(light != dark, "dark is as light");
    page.ask("document.querySelector('#theme').click()")?;
    page.until("light by choice", "document.documentElement.dataset.theme === 'light'")?;
    page.look(390, 844, "dark")?;
    page.until("no scrolling sideways", "document.documentElement.scrollWidth <= 390")?;
    page.picture("html-report-narrow")?;
    page.no_complaint()
}

/// A recording whose every name is markup.
fn keeps_hostile_names_text(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let recording = folder.file("hostile.jsonl");
    let name = format!("{HOSTILE}<script>document.title='taken'</script>");
    let site = serde_json::json!({
        "reason": name, "class": "policy", "subsystem": name, "function": name, "offset": 1, "address": "0x1",
        "device": { "index": 1, "name": name }, "netns": { "inode": 1, "name": name },
    });
    let with = |more: serde_json::Value| {
        let mut line = site.clone();
        line.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        line
    };
    let drop = with(serde_json::json!({
        "v": 1, "kind": "drop", "time": "2026-11-22T00:43:45.123456789Z", "weight": 1, "cpu": 0, "source": name, "stack": [name],
        "packet": { "length": 1, "protocol": "udp", "source": { "address": "10.0.0.1", "port": 1 }, "destination": { "address": "10.0.0.2" } },
        "socket": { "of": "packet", "family": name, "owner": { "pid": 1, "command": name } },
    }));
    let end = serde_json::json!({
        "v": 1, "kind": "end", "time": "2026-11-22T00:43:46.000000000Z", "interval_ms": 1000, "notes": [name],
        "rows": [with(serde_json::json!({ "count": 1, "bytes": 1 }))], "host": { "name": name, "kernel": name },
        "accounts": { "seen": 1, "detailed": 1, "sampled_out": 0, "ring_full": 0, "filtered": 0, "table_full": 0, "recursion_misses": 0 },
    });
    let finding = serde_json::json!({
        "v": 1, "kind": "doctor.finding", "check": name, "area": "udp", "severity": "critical", "subject": name, "netns": name, "sentence": name,
        "rate": 1.0, "evidence": [{ "name": name, "value": name, "read_from": name }], "cause": name, "certainty": "likely",
        "remedies": [{ "what": name, "now": [name], "persistently": name }], "caution": name, "verify": name, "explains": [name],
    });
    fs::write(&recording, format!("{drop}\n{finding}\n{end}\n"))?;
    let page = open(&report(bench, &folder, "html", &recording, "hostile.html")?)?;
    page.until("the page", "document.documentElement.dataset.ready === 'true'")?;
    page.ask("document.querySelector('tr.kind').click()")?;
    page.ask("document.querySelector('details.packet').open = true")?;
    page.until("the fields", "document.querySelector('.fields') !== null")?;
    // The finding stands above, open, and by the drops that it explains.
    for place in ["#findings", ".drill"] {
        let finding = format!("document.querySelector('{place} .finding[data-severity=critical]')");
        let told = page.ask(&format!("{finding}.textContent"))?;
        for part in ["critical", "Evidence", "Cause (likely)", "Remedy", "Caution: ", &name] {
            ensure!(told.contains(part), "no {part} in the finding of {place}:\n{told}");
        }
        ensure!(
            page.ask(&format!("{finding}.querySelector('.cmd code').textContent"))? == name,
            "no command"
        );
    }
    ensure!(
        page.ask("document.querySelector('#findings .finding').open")? == "true",
        "the only one is closed"
    );
    ensure!(page.ask("document.querySelector('.tie').textContent")? == format!("critical {name}"), "no tie");
    page.look(1280, 1700, "light")?;
    page.picture("html-report-finding")?;
    ensure!(page.ask("document.querySelectorAll('img').length")? == "0", "an image came in");
    ensure!(page.ask("document.querySelectorAll('script').length")? == "2", "a script came in");
    ensure!(page.ask("document.title")?.starts_with("netdrop: 1 drops"), "the title was taken");
    ensure!(page.ask("document.querySelector('.why').textContent")? == name, "the name isn't shown as it is");
    let picture = open(&report(bench, &folder, "flamegraph", &recording, "hostile.svg")?)?;
    picture.until("the picture", "document.querySelectorAll('.frame').length === 2")?;
    ensure!(
        picture.ask("document.querySelectorAll('script').length")? == "1",
        "a script came into the picture"
    );
    page.no_complaint()?;
    picture.no_complaint()
}

fn flame_graph(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let recording = record(bench, &folder)?;
    let page = open(&report(bench, &folder, "flamegraph", &recording, "drops.svg")?)?;
    page.look(1280, 800, "light")?;
    page.until("frames", "document.querySelectorAll('.frame').length > 3")?;
    let frame = "[...document.querySelectorAll('.frame')].find(frame => frame.textContent.startsWith('net_rx_action'))";
    page.until(SOFTIRQ, &format!("{frame} !== undefined"))?;
    let light = page.picture("flame-graph-light")?;
    page.ask("document.getElementById('reset').classList.contains('idle')")?;
    page.ask(&format!("{frame}.dispatchEvent(new MouseEvent('click'))"))?;
    page.until("the zoom", "!document.getElementById('reset').classList.contains('idle') && document.querySelectorAll('.aside').length > 0")?;
    page.picture("flame-graph-zoomed")?;
    page.press("Escape")?;
    page.until("all of it", "document.querySelectorAll('.aside').length === 0")?;
    page.ask("window.prompt = () => 'net_rx_action'")?;
    page.press("/")?;
    page.until("what was found", "document.querySelectorAll('.frame.found').length > 0 && document.getElementById('found').textContent.includes('%')")?;
    page.look(1280, 800, "dark")?;
    let dark = page.picture("flame-graph-dark")?;
    ensure!(light != dark, "dark is as light");
    page.no_complaint()
}
