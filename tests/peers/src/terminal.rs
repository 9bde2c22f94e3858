//! `netdrop top` in a real pseudo-terminal: what a person sees, presses and gets back.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use netdrop_tests::lab::{Folder, Lab, until};
use netdrop_tests::netdrop::run_to_end;
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, systems};
use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::{Pid, setsid};
use serde_json::Value;
use vt100::{MouseProtocolMode, Parser};

const PATIENCE: Duration = Duration::from_mins(1);
/// What stands on the terminal before, and must stand there after.
const PROMPT: &str = "prompt$ netdrop top";
const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";
const PAGE_DOWN: &str = "\x1b[6~";
const PAGE_UP: &str = "\x1b[5~";
const LEFT: &str = "\x1b[D";
/// Nobody: whoever it runs as has no privileges.
const NOBODY: u32 = 65534;

pub fn cases() -> Vec<Case> {
    systems([
        ("top-from-drops-to-a-report", live),
        ("top-is-terminated", terminated),
        ("top-mouse", mouse),
        ("top-flood", flood),
        ("top-without-a-terminal", without_terminal),
    ])
}

/// A terminal with `netdrop top` on it.
struct Terminal {
    child: Child,
    master: File,
    /// Held, so that the terminal outlives whoever is on it.
    slave: OwnedFd,
    before: Termios,
    shown: Arc<Mutex<Shown>>,
}

/// What a person would see.
struct Shown {
    parser: Parser,
    bytes: usize,
}

impl Terminal {
    fn start(command: &mut Command) -> Result<Self> {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None)?;
        let before = tcgetattr(&pty.slave)?;
        let shown = Arc::new(Mutex::new(Shown { parser: Parser::new(24, 80, 0), bytes: 0 }));
        let end = || -> Result<Stdio> { Ok(pty.slave.as_fd().try_clone_to_owned()?.into()) };
        command.stdin(end()?).stdout(end()?).stderr(end()?).env("TERM", "xterm-256color");
        File::from(pty.slave.as_fd().try_clone_to_owned()?).write_all(PROMPT.as_bytes())?;
        // SAFETY: both are system calls.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().context("can't run netdrop on a terminal")?;
        let master = File::from(pty.master);
        let (mut from, to) = (master.try_clone()?, Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let mut shown = lock(&to);
                shown.bytes += count;
                shown.parser.process(&bytes[..count]);
            }
        });
        Ok(Self { child, master, slave: pty.slave, before, shown })
    }

    fn type_in(&mut self, keys: &str) -> Result<()> {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    fn text(&self) -> String {
        lock(&self.shown).parser.screen().contents()
    }

    /// Waits until `text` stands somewhere; gives all that stands there then.
    fn see(&mut self, text: &str) -> Result<String> {
        self.see_that(text, |screen| screen.contains(text))
    }

    fn see_that(&mut self, what: &str, is_there: impl Fn(&str) -> bool) -> Result<String> {
        let shown = until(what, PATIENCE, || {
            let screen = self.text();
            if let Some(status) = self.child.try_wait()? {
                bail!("netdrop ended with {status}: {screen}");
            }
            Ok(is_there(&screen).then_some(screen))
        });
        shown.with_context(|| format!("never seen: {what}; but\n{}", self.text()))
    }

    fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        lock(&self.shown).parser.screen_mut().set_size(rows, columns);
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the ioctl reads a winsize.
        let result = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        ensure!(result == 0, "can't resize the terminal: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// Waits for the end; then the terminal must be as it was.
    fn end(&mut self) -> Result<ExitStatus> {
        let status = until("the end of top", PATIENCE, || Ok(self.child.try_wait()?))?;
        until("the screen before", PATIENCE, || {
            let shown = lock(&self.shown);
            let screen = shown.parser.screen();
            let is_back = !screen.alternate_screen()
                && !screen.hide_cursor()
                && screen.mouse_protocol_mode() == MouseProtocolMode::None
                && screen.contents().contains(PROMPT);
            Ok(is_back.then_some(()))
        })
        .with_context(|| format!("the terminal is left as\n{}", self.text()))?;
        ensure!(tcgetattr(&self.slave)? == self.before, "the terminal's modes aren't those before");
        Ok(status)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A namespace, top on its drops alone, and what makes them: datagrams to a port that nobody listens at.
struct Scene {
    lab: Lab,
    folder: Folder,
    terminal: Terminal,
    sender: UdpSocket,
}

impl Scene {
    fn open(bench: &Bench, flags: &[&str]) -> Result<Self> {
        let lab = Lab::alone()?;
        let folder = Folder::create()?;
        let sender = lab.receiver.enter(|| Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?))?;
        let mut command = Command::new(fs::canonicalize(&bench.netdrop)?);
        command.args(["top", "--interval", "200ms", "--netns", lab.receiver.name()]).args(flags);
        command.current_dir(folder.file(""));
        let mut terminal = Terminal::start(&mut command)?;
        terminal.see("no drops yet")?;
        Ok(Self { lab, folder, terminal, sender })
    }

    fn drop_packets(&self, count: u64) -> Result<()> {
        for _ in 0..count {
            // The answer to the one before is told here; it isn't of interest.
            let _ = self.sender.send_to(b"hey", (Ipv4Addr::LOCALHOST, 9));
        }
        ensure!(!self.lab.receiver.name().is_empty(), "the namespace is gone");
        Ok(())
    }
}

fn live(bench: &Bench) -> Result<()> {
    let mut scene = Scene::open(bench, &[])?;
    scene.drop_packets(1000)?;
    let screen = scene.terminal.see(" 1,000 ")?;
    ensure!(screen.contains("NO_SOCKET") && screen.contains("detailed "), "{screen}");
    scene.terminal.type_in(ENTER)?;
    scene.terminal.see("No socket waits at the packet's destination")?;
    for _ in 0..6 {
        scene.terminal.type_in(PAGE_DOWN)?;
    }
    scene.terminal.see("ip_protocol_deliver_rcu+")?;
    scene.terminal.type_in(PAGE_UP)?;
    scene.terminal.see("> 127.0.0.1:9 udp len ")?;
    scene.terminal.type_in(ESCAPE)?;
    scene.terminal.see("DROPS/S")?;
    scene.terminal.type_in("/nothing-like-that\r")?;
    scene.terminal.see("nothing here has that in it")?;
    scene.terminal.type_in(ESCAPE)?;
    scene.terminal.see("NO_SOCKET")?;
    scene.terminal.type_in("3")?;
    scene.terminal.see("127.0.0.1:9")?;
    scene.terminal.type_in("1p")?;
    scene.terminal.see("PAUSED")?;
    scene.drop_packets(10)?;
    scene.terminal.type_in("p")?;
    let screen = scene.terminal.see(" 1,010 ")?;
    ensure!(!screen.contains("PAUSED"), "{screen}");
    let file = record(&mut scene, 234)?;
    scene.terminal.resize(40, 120)?;
    scene.terminal.see("╭ 1 Sites (1) ")?;
    scene.terminal.resize(12, 40)?;
    scene.terminal.see_that("a narrow screen", |screen| screen.contains(" det ") && !screen.contains('╭'))?;
    scene.terminal.type_in("q")?;
    let status = scene.terminal.end()?;
    ensure!(status.success(), "ended with {status}");
    read_again(bench, &scene.folder, &file, 234)
}

/// Records the drops of `count` packets; gives the file's name.
fn record(scene: &mut Scene, count: u64) -> Result<String> {
    scene.terminal.type_in("w")?;
    scene.terminal.see("● netdrop-")?;
    scene.drop_packets(count)?;
    scene.terminal.see(" 1,244 ")?;
    scene.terminal.type_in("w")?;
    let screen = scene.terminal.see("recorded: netdrop report netdrop-")?;
    let (_, file) = screen.split_once("netdrop report ").context("no file is named")?;
    Ok(file.split_whitespace().next().context("no file is named")?.to_owned())
}

/// By `report`, exactly; and by `top FILE`, without privileges.
fn read_again(bench: &Bench, folder: &Folder, file: &str, count: u64) -> Result<()> {
    let path = folder.file(file);
    let report = run_to_end(Command::new(&bench.netdrop).args(["report", "--format", "json", &path]))?;
    ensure!(report.stderr.is_empty(), "{}", report.stderr);
    let end: Value = serde_json::from_str(&report.stdout).with_context(|| report.stdout.clone())?;
    let rows = end["rows"].as_array().into_iter().flatten();
    let counted: u64 = rows.filter_map(|row| row["count"].as_u64()).sum();
    ensure!(counted == count, "{counted} of {count} recorded: {end}");

    fs::set_permissions(folder.file(""), Permissions::from_mode(0o755))?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    let mut command = Command::new(&bench.netdrop);
    command.args(["top", &path]).uid(NOBODY).gid(NOBODY);
    let mut terminal = Terminal::start(&mut command)?;
    let name = Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let screen = terminal.see(" 234 ")?;
    ensure!(screen.contains("NO_SOCKET") && screen.contains(&name[..20]), "{screen}");
    terminal.type_in(LEFT)?;
    terminal.see_that("an earlier moment", |shown| shown.lines().next() != screen.lines().next())?;
    terminal.type_in(ENTER)?;
    terminal.see("Meaning")?;
    terminal.type_in("\x03")?;
    let status = terminal.end()?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

fn terminated(bench: &Bench) -> Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut scene = Scene::open(bench, &[])?;
        kill(Pid::from_raw(scene.terminal.child.id().cast_signed()), signal)?;
        let status = scene.terminal.end()?;
        ensure!(status.success(), "{signal}: ended with {status}");
    }
    Ok(())
}

/// Presses of the left button, as SGR mouse reports (xterm's ctlseqs): column and row from 1.
fn mouse(bench: &Bench) -> Result<()> {
    let mut scene = Scene::open(bench, &[])?;
    ensure!(
        lock(&scene.terminal.shown).parser.screen().mouse_protocol_mode() != MouseProtocolMode::None,
        "the mouse isn't asked for"
    );
    scene.drop_packets(5)?;
    scene.terminal.see("NO_SOCKET")?;
    // The title of the totals.
    scene.terminal.type_in("\x1b[<0;15;4M")?;
    scene.terminal.see("sort: total")?;
    // The first row, which is the selected one.
    scene.terminal.type_in("\x1b[<0;15;5M")?;
    scene.terminal.see("Meaning")?;
    scene.terminal.type_in("q")?;
    scene.terminal.end()?;
    // Its namespace goes first: the next one has its name.
    drop(scene);

    let mut scene = Scene::open(bench, &["--no-mouse"])?;
    ensure!(
        lock(&scene.terminal.shown).parser.screen().mouse_protocol_mode() == MouseProtocolMode::None,
        "the mouse is taken from the terminal"
    );
    scene.terminal.type_in("q")?;
    scene.terminal.end()?;
    Ok(())
}

/// Counts are exact, and what is drawn meanwhile doesn't grow with the drops.
fn flood(bench: &Bench) -> Result<()> {
    const PACKETS: u64 = 200_000;
    /// A frame changes some numbers, and a second has ten at most.
    const BYTES_A_SECOND: usize = 10 * 4096;
    let mut scene = Scene::open(bench, &[])?;
    let (bytes, start) = (lock(&scene.terminal.shown).bytes, std::time::Instant::now());
    scene.drop_packets(PACKETS)?;
    scene.terminal.see(" 200,000 ")?;
    let seconds = usize::try_from(start.elapsed().as_secs())? + 1;
    let drawn = lock(&scene.terminal.shown).bytes - bytes;
    ensure!(drawn <= BYTES_A_SECOND * seconds, "{drawn} bytes in {seconds} s");
    scene.terminal.type_in("q")?;
    scene.terminal.end()?;
    Ok(())
}

fn without_terminal(bench: &Bench) -> Result<()> {
    let ended = run_to_end(Command::new(&bench.netdrop).arg("top"))?;
    ensure!(ended.code == Some(2) && ended.stdout.is_empty(), "{:?}: {}", ended.code, ended.stdout);
    ensure!(ended.stderr.contains("netdrop watch"), "{}", ended.stderr);
    Ok(())
}
