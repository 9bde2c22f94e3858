//! `netdrop serve`: start, reload, a lost program, namespaces that come and go, idleness; its counts against the kernel's.

use std::fs;
use std::io::Read as _;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netdrop_tests::lab::{Folder, Lab, Namespace, until};
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, System};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::inject;

/// Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65534;

pub fn cases() -> Vec<Case> {
    let cases = [
        System::new("serve-counts-across-reloads", counts_across_reloads),
        System::new("serve-another-program-while-drops-come", another_program),
        System::new("serve-attaches-again", attaches_again),
        System::new("serve-namespaces-come-and-go", namespaces_come_and_go),
        System::new("serve-tells-systemd", tells_systemd),
        System::new("serve-idle", idle),
    ];
    cases.into_iter().map(Case::System).collect()
}

/// A running daemon with a folder for its files. All but the idle one read ten times a second.
pub struct Served {
    child: Child,
    folder: Folder,
}

impl Served {
    pub fn start(bench: &Bench, settings: &str) -> Result<Self> {
        Self::start_with(bench, settings, |_, _| Ok(()))
    }

    fn start_with(
        bench: &Bench,
        settings: &str,
        prepare: impl FnOnce(&mut Command, &Folder) -> Result<()>,
    ) -> Result<Self> {
        let folder = Folder::create()?;
        // Whom the daemon becomes where there is no user netdrop: the kernel's overflow user.
        std::os::unix::fs::chown(folder.file(""), Some(NOBODY), Some(NOBODY))?;
        fs::write(folder.file("netdrop.toml"), settings)?;
        let mut command = Command::new(&bench.netdrop);
        command.args(["-v", "serve", "--interval", "100ms", "--listen", "127.0.0.1:0"]);
        command.args(["--set", &format!("sandbox.user={NOBODY}:{NOBODY}"), "--set", "sandbox.reattach=true"]);
        command.args(["--config", &folder.file("netdrop.toml"), "--metrics-file", &folder.file("metrics")]);
        let errors = fs::File::create(folder.file("stderr"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        prepare(&mut command, &folder)?;
        let child = command.spawn().with_context(|| format!("can't run {}", bench.netdrop.display()))?;
        let mut served = Self { child, folder };
        until("the daemon to attach and write its metrics", PATIENCE, || {
            let ended = served.child.try_wait()?;
            ensure!(ended.is_none(), "it ended: {}", served.stderr());
            Ok(served.metrics().contains("netdrop_attached 1\n").then_some(()))
        })?;
        Ok(served)
    }

    /// Where it listens.
    pub fn address(&self) -> Result<String> {
        let said = until("the daemon to say where it listens", PATIENCE, || {
            let stderr = self.stderr();
            let said = stderr.lines().find_map(|line| line.split_once("listening on "));
            Ok(said.map(|(_, address)| address.to_owned()))
        });
        said.with_context(|| self.stderr())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.folder.file("stderr")).unwrap_or_default()
    }

    fn metrics(&self) -> String {
        fs::read_to_string(self.folder.file("metrics")).unwrap_or_default()
    }

    /// The sum of a metric's samples whose labels contain `label`.
    fn sum(&self, metric: &str, label: &str) -> u64 {
        let text = self.metrics();
        let samples = text.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit_once(' '));
        let samples = samples
            .filter(|(labels, _)| (labels.is_empty() || labels.starts_with('{')) && labels.contains(label));
        samples.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    /// Waits until the metric has come to `count`; more is a failure.
    fn expect(&self, metric: &str, label: &str, count: u64) -> Result<()> {
        until(&format!("{metric} {label} to be {count}"), PATIENCE, || {
            let sum = self.sum(metric, label);
            ensure!(sum <= count, "{metric} {label} is {sum}, not {count}: {}", self.metrics());
            Ok((sum == count).then_some(()))
        })
        .with_context(|| format!("it is {}; {}", self.sum(metric, label), self.stderr()))
    }

    /// Has it read `settings`, and waits for what it says of them.
    fn reload(&self, settings: &str, says: &str) -> Result<()> {
        let before = self.stderr().matches(says).count();
        // As editors do: another file takes the name.
        fs::write(self.folder.file("new"), settings)?;
        fs::rename(self.folder.file("new"), self.folder.file("netdrop.toml"))?;
        kill(self.pid(), Signal::SIGHUP)?;
        until(&format!("the daemon to say: {says}"), PATIENCE, || {
            Ok((self.stderr().matches(says).count() > before).then_some(()))
        })
        .with_context(|| self.stderr())
    }

    /// Ends it, which must be well.
    fn stop(&mut self) -> Result<()> {
        kill(self.pid(), Signal::SIGTERM)?;
        let status = until("the daemon to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "it ended with {status}: {}", self.stderr());
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const READ: &str = "the settings were read again";
const KEPT: &str = "the settings stay as they were";

/// Settings for what happens in one namespace.
fn settings(namespace: &Namespace, rest: &str) -> String {
    format!("[capture.only]\nnetns = ['{}']\n{rest}", namespace.inode())
}

/// `count` datagrams to a closed loopback port, each dropped when this returns.
fn drop_datagrams(namespace: &Namespace, count: u64) -> Result<()> {
    let socket = namespace.enter(|| Ok(UdpSocket::bind("127.0.0.1:0")?))?;
    let before = namespace.counter("Udp", "NoPorts")?;
    for sent in 1..=count {
        socket.send_to(b"hey", "127.0.0.1:9")?;
        if sent % 250 == 0 || sent == count {
            until("the kernel to count", PATIENCE, || {
                Ok((namespace.counter("Udp", "NoPorts")? >= before + sent).then_some(()))
            })?;
        }
    }
    Ok(())
}

const DROPS: &str = "netdrop_drops_total";
const SITE: &str = "reason=\"NO_SOCKET\"";

fn counts_across_reloads(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let log = |folder: &Folder| {
        format!("[log]\nto = ['file']\nfile = '{}'\nsummaries = true\n", folder.file("drops"))
    };
    let mut served = Served::start_with(bench, "", |_, folder| {
        Ok(fs::write(folder.file("netdrop.toml"), settings(&lab.receiver, &log(folder)))?)
    })?;
    let log = log(&served.folder);
    let mut sent = 0;
    let mut drop_and_expect = |served: &Served, label: &str| {
        drop_datagrams(&lab.receiver, 1000)?;
        sent += 1000;
        served.expect(DROPS, label, sent)
    };
    drop_and_expect(&served, SITE)?;
    // Labels that come, a label that goes.
    let labels = "[metrics]\nlabels = ['reason', 'protocol', 'netns']\n";
    served.reload(&settings(&lab.receiver, &(log.clone() + labels)), READ)?;
    drop_and_expect(&served, SITE)?;
    ensure!(served.sum(DROPS, "protocol=\"udp\"") == 1000, "{}", served.metrics());
    // A file that can't be used changes nothing.
    served.reload("[capture]\nintervl = '1s'\n", KEPT)?;
    ensure!(served.stderr().contains("netdrop.toml:2: there is no key `intervl`; did you mean `interval`?"));
    drop_and_expect(&served, SITE)?;
    // Nor does a filter that can't.
    served.reload("[capture.only]\nreason = ['NO_SOCKE']\n", KEPT)?;
    drop_and_expect(&served, SITE)?;
    // Another program: the counts of the one before stay.
    let capture = "[capture]\nrate = 3\nsnaplen = 64\n";
    served.reload(&(capture.to_owned() + &settings(&lab.receiver, &(log.clone() + labels))), READ)?;
    drop_and_expect(&served, SITE)?;
    // Fewer series: what was counted is in the other one.
    let one = "[metrics]\nmax_series = 1\nlabels = ['reason']\n";
    served.reload(&(capture.to_owned() + &settings(&lab.receiver, &(log + one))), READ)?;
    drop_and_expect(&served, "reason=\"other\"")?;
    ensure!(served.sum("netdrop_config_reloads_total", "done") == 3, "{}", served.metrics());
    ensure!(served.sum("netdrop_config_reloads_total", "failed") == 2, "{}", served.metrics());
    served.stop()?;
    // The log's summaries sum to the same, each drop once.
    let lines = fs::read_to_string(served.folder.file("drops"))?;
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let rows =
        lines.iter().filter(|line| line["kind"] == "summary").filter_map(|line| line["rows"].as_array());
    let logged: u64 = rows
        .flatten()
        .filter(|row| row["reason"] == "NO_SOCKET")
        .filter_map(|row| row["count"].as_u64())
        .sum();
    ensure!(logged == sent, "{logged} drops in the log's summaries, {sent} were sent");
    ensure!(lines.iter().any(|line| line["kind"] == "drop"), "no drop in the log");
    Ok(())
}

/// The counts of one program end and those of the next begin at one moment, also while drops come.
fn another_program(bench: &Bench) -> Result<()> {
    const BATCHES: u64 = 300;
    let lab = Lab::alone()?;
    let served = Served::start(bench, &settings(&lab.receiver, ""))?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..BATCHES {
                drop_datagrams(&lab.receiver, 10)?;
                // Not a wait for anything: packets that come and pauses between them are the case.
                std::thread::sleep(Duration::from_millis(3));
            }
            anyhow::Ok(())
        });
        for rate in 1..=5 {
            served.reload(&(format!("[capture]\nrate = {rate}\n") + &settings(&lab.receiver, "")), READ)?;
        }
        sender.join().expect("it only returns errors")
    })?;
    let said = served.stderr();
    let slack: u64 = said
        .lines()
        .filter_map(|line| {
            line.split_once("up to ")?.1.split_once(" are counted twice")?.0.parse::<u64>().ok()
        })
        .sum();
    if slack == 0 {
        return served.expect(DROPS, SITE, BATCHES * 10);
    }
    // On a machine without a quiet moment it says by how much it may be wrong.
    let sum = until("the counts to come near", PATIENCE, || {
        let sum = served.sum(DROPS, SITE);
        Ok((sum + slack >= BATCHES * 10).then_some(sum))
    })?;
    ensure!(sum <= BATCHES * 10 + slack, "{sum} of {}, {slack} may be wrong", BATCHES * 10);
    Ok(())
}

/// Somebody closes the program's link: it is noticed, mended and counted, and the counts go on.
fn attaches_again(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    let mut served = Served::start(bench, &settings(&lab.receiver, ""))?;
    drop_datagrams(&lab.receiver, 500)?;
    served.expect(DROPS, SITE, 500)?;
    for link in links(served.pid())? {
        inject::close(served.pid(), link)?;
    }
    served.expect("netdrop_reattached_total", "", 1)?;
    served.expect("netdrop_attached", "", 1)?;
    drop_datagrams(&lab.receiver, 500)?;
    served.expect(DROPS, SITE, 1000)?;
    served.stop()
}

/// The descriptors of a process that are links of BPF programs (proc(5), fdinfo).
fn links(pid: Pid) -> Result<Vec<i32>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let entry = entry?;
        let info = fs::read_to_string(entry.path()).unwrap_or_default();
        if info.contains("link_type:") {
            links.extend(entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
        }
    }
    ensure!(!links.is_empty(), "the daemon has no link");
    Ok(links)
}

/// More namespaces than the kernel's slots hold: those that are gone leave the tables, and stay in the sums.
fn namespaces_come_and_go(bench: &Bench) -> Result<()> {
    const NAMESPACES: u64 = 12;
    const EACH: u64 = 20;
    let metrics = "[metrics]\nlabels = ['reason', 'netns']\n[capture]\nmax_counters = 16\n";
    let mut served = Served::start(bench, metrics)?;
    let mine = format!("netns=\"ndtest-{}-", std::process::id());
    let create = |number| Namespace::create(&format!("come{number}"));
    let namespaces: Vec<_> = (0..NAMESPACES).map(create).collect::<Result<_>>()?;
    // New namespaces are looked for once a second: until then their drops are counted under their numbers.
    let numbers: Vec<_> = namespaces.iter().map(|one| format!("netns=\"{}\"", one.inode())).collect();
    let numbered = || numbers.iter().map(|number| served.sum(DROPS, number)).sum::<u64>();
    let before = numbered();
    let mut sent = 0;
    until("all namespaces to have names", PATIENCE, || {
        namespaces.iter().try_for_each(|namespace| drop_datagrams(namespace, EACH))?;
        sent += NAMESPACES * EACH;
        until("all to be counted", PATIENCE, || {
            let sum = served.sum(DROPS, &mine) + numbered() - before;
            ensure!(sum <= sent, "{sum} of {sent}");
            Ok((sum == sent).then_some(()))
        })?;
        let named = |one: &Namespace| served.sum(DROPS, &format!("netns=\"{}\"", one.name())) > 0;
        Ok(namespaces.iter().all(named).then_some(()))
    })?;
    let sent = sent - (numbered() - before);
    served.expect(DROPS, &mine, sent)?;
    drop(namespaces);
    until("counters to be given up", PATIENCE, || {
        Ok(served.stderr().contains("were given up").then_some(()))
    })?;
    served.expect(DROPS, &mine, sent)?;
    ensure!(served.sum("netdrop_events_lost_total", "table_full") == 0, "{}", served.metrics());
    served.stop()
}

fn tells_systemd(bench: &Bench) -> Result<()> {
    let mut socket = None;
    let mut served = Served::start_with(bench, "", |command, folder| {
        let path = folder.file("notify");
        let bound = UnixDatagram::bind(&path)?;
        // As systemd's own: everybody may write.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        bound.set_read_timeout(Some(PATIENCE))?;
        socket = Some(bound);
        command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "400000");
        Ok(())
    })?;
    let socket = socket.context("it was bound")?;
    let told = |wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = [0; 512];
        while Instant::now() < deadline {
            let length = socket.recv(&mut bytes).with_context(|| format!("no {wanted}"))?;
            if String::from_utf8_lossy(&bytes[..length]).contains(wanted) {
                return Ok(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        }
        anyhow::bail!("{wanted} was not told")
    };
    told("READY=1")?;
    told("WATCHDOG=1")?;
    kill(served.pid(), Signal::SIGHUP)?;
    let reloading = told("RELOADING=1")?;
    ensure!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told("READY=1")?;
    served.stop()?;
    told("STOPPING=1")?;
    Ok(())
}

/// Where nothing drops, the daemon wakes up once an interval, and costs less than a thousandth of a core at the default
/// interval of ten seconds.
fn idle(bench: &Bench) -> Result<()> {
    const READINGS: u64 = 8;
    /// The doctor looks ten seconds after the start, and then once a minute: its threads wait for one another, and for the kernel.
    const EXAMINATION: u64 = 20;
    let lab = Lab::alone()?;
    let mut served = Served::start_with(bench, &settings(&lab.receiver, ""), |command, _| {
        command.args(["--interval", "1s"]);
        Ok(())
    })?;
    let reading = || served.metrics();
    let next = |before: &String| {
        until("the next reading", PATIENCE, || Ok(Some(reading()).filter(|now| now != before)))
    };
    // The first readings are for names.
    let first = next(&reading())?;
    next(&first)?;
    let (wakeups, cpu, started) = (wakeups(served.pid())?, cpu(served.pid())?, Instant::now());
    std::thread::sleep(Duration::from_secs(READINGS));
    let woken = crate::serve::wakeups(served.pid())? - wakeups;
    let used = crate::serve::cpu(served.pid())?.saturating_sub(cpu);
    let readings = started.elapsed().as_secs() + 1;
    // Beside the timer's, a wait for the disk that the metrics are written to.
    ensure!(woken <= readings * 2 + EXAMINATION, "{woken} wake-ups in {readings} intervals");
    ensure!(
        used <= Duration::from_millis(10) * u32::try_from(readings)?,
        "{used:?} of CPU in {readings} readings"
    );
    let anonymous = memory(served.pid())?;
    println!(
        "        {woken} wake-ups and {} µs of CPU in {readings} readings, {} MB of its own",
        used.as_micros(),
        anonymous >> 20
    );
    // What of the program itself is resident depends on how it was built; the bench measures it as it ships.
    ensure!(anonymous <= 20 << 20, "{anonymous} bytes of its own");
    served.stop()
}

/// Voluntary context switches of all threads (proc(5), status).
fn wakeups(pid: Pid) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        sum += field(&task?.path().join("status"), "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

/// CPU time of all threads (proc(5), schedstat: nanoseconds).
fn cpu(pid: Pid) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let mut text = String::new();
        fs::File::open(task?.path().join("schedstat"))?.read_to_string(&mut text)?;
        sum += Duration::from_nanos(text.split_whitespace().next().context("an empty schedstat")?.parse()?);
    }
    Ok(sum)
}

fn memory(pid: Pid) -> Result<u64> {
    Ok(field(Path::new(&format!("/proc/{pid}/status")), "RssAnon:")? * 1024)
}

fn field(path: &Path, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.split_whitespace().next());
    Ok(value.with_context(|| format!("no {name} in {}", path.display()))?.parse()?)
}
