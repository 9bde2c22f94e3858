//! What the doctor finds is shown beside the drops that it explains: by watch, run, report and serve.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::super::tcp::{SERVER_PORT, overflow};
use super::udp::overfill;
use crate::daemon::Daemon;
use crate::lab::{Folder, Lab, Namespace, RECEIVER, until};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

const CHECK: &str = "udp-receive-queue-full";
const PATIENCE: Duration = Duration::from_secs(30);

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-ties-watch", watch),
        ("doctor-ties-listener", listener),
        ("doctor-ties-elsewhere", elsewhere),
        ("doctor-ties-run", run),
        ("doctor-ties-serve", serve),
        ("doctor-ties-serve-off", serve_off),
    ])
}

fn unread(namespace: &Namespace) -> Result<(UdpSocket, SocketAddr)> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// The socket that loses is named in the closing report, in the recording, and in what is made of that.
fn watch(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let (_socket, address) = unread(&lab.receiver)?;
    let subject = format!("socket {address} of netdrop-tests({})", std::process::id());
    watched(bench, &lab.receiver, (CHECK, &subject), || overfill(&lab.receiver, address, 50))?;
    Ok(())
}

/// Last segments of handshakes find the accept queue full: the listener is named beside their drops, whether the kernel has a reason for
/// them or not. A SYN that finds it full is consumed (`tcp_rcv_state_process`, `net/ipv4/tcp_input.c`): no kernel makes it a drop.
fn listener(bench: &Bench) -> Result<()> {
    const HANDSHAKES: u64 = 20;
    let lab = Lab::pair()?;
    let listener = lab.receiver.enter(|| Ok(TcpListener::bind((RECEIVER.v4, SERVER_PORT))?))?;
    let subject = format!("listener {}:{SERVER_PORT} of netdrop-tests({})", RECEIVER.v4, std::process::id());
    let mut connected = Vec::new();
    let finding = watched(bench, &lab.receiver, ("tcp-listen-overflow", &subject), || {
        connected.push(overflow(&lab, &listener, HANDSHAKES)?);
        until("handshakes to be refused", PATIENCE, || {
            let refused = lab.receiver.counter("TcpExt", "ListenOverflows")?;
            Ok((refused == HANDSHAKES).then_some(()))
        })
    })?;
    let sentence = finding["sentence"].as_str().unwrap_or_default();
    ensure!(sentence.starts_with("20 SYNs and handshakes"), "{finding}");
    let evidence = finding["evidence"].as_array().context("no evidence")?;
    let drops: u64 = evidence.iter().filter_map(|one| one["drops"].as_u64()).sum();
    ensure!(drops == HANDSHAKES, "netdrop counted {drops}: {finding}");
    Ok(())
}

/// What `watch` tells of the drops that `work` makes: a finding of this check about this subject, in its recording and in what is made of it.
fn watched(
    bench: &Bench,
    namespace: &Namespace,
    (check, subject): (&str, &str),
    work: impl FnOnce() -> Result<()>,
) -> Result<Value> {
    let folder = Folder::create()?;
    let file = folder.file("drops.jsonl");
    let mut command = namespace.command(&bench.netdrop.to_string_lossy());
    command.args(["watch", "--netns", "self", "--format", "json", "--output", &file]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    wait_attached(&mut child)?;
    let worked = work();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    ensure!(child.wait()?.success(), "watch failed");
    worked?;
    let text = std::fs::read_to_string(&file)?;
    let schema = crate::netdrop::schema(&bench.netdrop)?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_it = |line: &&Value| line["kind"] == "doctor.finding" && line["check"] == check;
    let finding = lines.iter().find(is_it).context("no finding")?;
    ensure!(schema.is_valid(finding), "{finding}");
    ensure!(finding["remedies"][0]["what"].is_string(), "{finding}");
    let named = finding["subject"].as_str().unwrap_or_default();
    ensure!(named.starts_with(subject), "{named} and not {subject}");
    ensure!(lines.last().is_some_and(|line| line["kind"] == "end"), "the end isn't last");
    for format in ["table", "histogram"] {
        let report = Command::new(&bench.netdrop).args(["report", &file, "--format", format]).output()?;
        let report = String::from_utf8(report.stdout)?;
        ensure!(report.contains(&format!("doctor: {subject}")), "{report}");
    }
    Ok(finding.clone())
}

/// A container's socket, seen from the host: its namespace alone is looked at, however many there are.
fn elsewhere(bench: &Bench) -> Result<()> {
    const MANY: usize = 20;
    let lab = Lab::alone()?;
    let _others = (0..MANY).map(|_| Namespace::create("other")).collect::<Result<Vec<_>>>()?;
    let (_socket, address) = unread(&lab.receiver)?;
    let mut command = Command::new(&bench.netdrop);
    command.args(["watch", "--netns", lab.receiver.name(), "--format", "text"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    wait_attached(&mut child)?;
    // The namespaces are read beside the run, from its start.
    std::thread::sleep(Duration::from_secs(1));
    overfill(&lab.receiver, address, 50)?;
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    let output = child.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let line = told.lines().find(|line| line.starts_with("# doctor: ")).with_context(|| told.to_string())?;
    ensure!(line.contains(&format!("socket {address} of netdrop-tests(")), "{line}");
    ensure!(line.contains(&format!(") in {}: ", lab.receiver.name())), "{line}");
    Ok(())
}

/// A line of standard error says so.
fn wait_attached(child: &mut std::process::Child) -> Result<()> {
    use std::io::{BufRead as _, BufReader};
    let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
    let mut said = String::new();
    while !said.contains("attached") {
        ensure!(stderr.read_line(&mut said)? > 0, "it ended: {said}");
    }
    // It goes on to be read, so that nobody waits.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    Ok(())
}

/// A run without drops asks nobody; one with drops that nothing explains says nothing.
fn run(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let told = |arguments: &[&str]| -> Result<String> {
        let mut command = lab.receiver.command(&bench.netdrop.to_string_lossy());
        let output = command.args(["run", "--scope", "netns"]).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let quiet = told(&["--", "true"])?;
    ensure!(quiet.contains("No drops") && !quiet.contains("doctor:"), "{quiet}");
    let nobody = "for i in 1 2 3 4 5; do echo hey > /dev/udp/127.0.0.1/9; done 2> /dev/null; true";
    let refused = told(&["--", "bash", "-c", nobody])?;
    ensure!(refused.contains("NO_SOCKET") || refused.contains("udp"), "{refused}");
    let (_socket, address) = unread(&lab.receiver)?;
    let port = address.port();
    let flood = format!(
        "line=$(printf '%1000s' x); for i in $(seq 1000); do echo \"$line\" > /dev/udp/127.0.0.1/{port}; done; true"
    );
    let full = told(&["--", "bash", "-c", &flood])?;
    ensure!(full.contains(&format!("doctor: socket {address} of netdrop-tests(")), "{full}");
    let again = told(&["--repeat", "2", "--", "bash", "-c", &flood])?;
    ensure!(again.contains(&format!("doctor, in every run: socket {address} of netdrop-tests(")), "{again}");
    let lines = told(&["--repeat", "2", "--format", "json", "--", "bash", "-c", &flood])?;
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // The findings of each run stand before its end. All that was lost was lost there: counters were read before the command began.
    let socket = format!("socket {address} of netdrop-tests(");
    let told_of: Vec<_> = lines.filter(|line| line["check"] == CHECK || line["kind"] == "end").collect();
    let of_others = told_of
        .iter()
        .find(|line| line["subject"].as_str().is_some_and(|subject| !subject.starts_with(&socket)));
    ensure!(of_others.is_none(), "{of_others:?}");
    let kinds: Vec<_> = told_of.iter().map(|line| &line["kind"]).collect();
    ensure!(kinds == ["doctor.finding", "end", "doctor.finding", "end"], "{kinds:?}");
    let without = told(&["--no-doctor", "--", "bash", "-c", &flood])?;
    ensure!(!without.contains("doctor:"), "{without}");
    Ok(())
}

/// Metrics and API, from within the sandbox; gone when it is fine again.
fn serve(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let (socket, address) = unread(&lab.receiver)?;
    let at = SocketAddr::from(([127, 0, 0, 1], 13_768));
    let daemon = Daemon::start(bench, &lab.receiver, at, "[doctor]\ninterval = '1s'\n")?;
    let examined = || -> Result<Value> { Ok(serde_json::from_str(&daemon.get("/api/v1/findings")?.body)?) };
    until("a first examination", PATIENCE, || Ok(examined()?["time"].is_string().then_some(())))?;
    overfill(&lab.receiver, address, 50)?;
    let series = || daemon.metric("netdrop_finding", &["area=\"udp\"", &format!("check=\"{CHECK}\"")]);
    until("the finding among the metrics", PATIENCE, || Ok((series()? > 0.0).then_some(())))?;
    // The next examination, a second later, finds nothing any more: what is asked for now may have been that already.
    let found = until("the finding in the API", PATIENCE, || {
        overfill(&lab.receiver, address, 20)?;
        std::thread::sleep(Duration::from_millis(300));
        let told = examined()?;
        Ok(told["findings"].as_array().and_then(|all| all.iter().find(|one| one["check"] == CHECK)).cloned())
    })?;
    let subject = found["subject"].as_str().unwrap_or_default();
    ensure!(subject.starts_with(&format!("socket {address} of netdrop-tests(")), "{subject}");
    let report = examined()?;
    let schema = crate::netdrop::schema(&bench.netdrop)?;
    ensure!(schema.is_valid(&report), "{report}");
    ensure!(report["checked"].as_u64() >= Some(5), "{report}");
    let summary: Value = serde_json::from_str(&daemon.get("/api/v1/summary")?.body)?;
    ensure!(schema.is_valid(&summary), "{summary}");
    let checks = daemon.metric("netdrop_doctor_checks", &["state=\"made\""])?;
    ensure!(checks >= 5.0, "{checks} checks were made");
    socket.set_nonblocking(true)?;
    while socket.recv(&mut [0; 1]).is_ok() {}
    until("the finding to be gone", PATIENCE, || Ok((series()? == 0.0).then_some(())))?;
    let resident = daemon.status("VmRSS")?;
    println!("serve with its doctor: {resident} kB resident");
    daemon.stop()?;
    Ok(())
}

/// Switched off, nothing is read.
fn serve_off(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let at = SocketAddr::from(([127, 0, 0, 1], 13_769));
    let daemon = Daemon::start(bench, &lab.receiver, at, "[doctor]\nenabled = false\n")?;
    let report: Value = serde_json::from_str(&daemon.get("/api/v1/findings")?.body)?;
    ensure!(report["checked"] == 0 && report["time"].is_null(), "{report}");
    ensure!(!daemon.get("/metrics")?.body.contains("netdrop_doctor"), "it was asked");
    daemon.stop()?;
    Ok(())
}
