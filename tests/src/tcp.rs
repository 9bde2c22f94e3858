//! `netdrop tcp …` as a child process, the rows of its CSV, and connections for it to see.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, tcp_info, until};
use crate::runner::Bench;

const PATIENCE: Duration = Duration::from_mins(1);

/// `netdrop tcp …` as a child process.
pub struct Tcp {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<String>>,
    reader: std::thread::JoinHandle<()>,
}

impl Tcp {
    /// Starts it for the lab's namespace and waits until it is attached.
    pub fn start(bench: &Bench, lab: &Lab, arguments: &[&str]) -> Result<Self> {
        Self::start_as(Command::new(&bench.netdrop), lab, arguments)
    }

    /// As [`Self::start`], from within the namespace: the kernel's own counts are those of it then.
    pub fn start_inside(bench: &Bench, lab: &Lab, arguments: &[&str]) -> Result<Self> {
        Self::start_as(lab.receiver.command(&bench.netdrop.to_string_lossy()), lab, arguments)
    }

    fn start_as(mut command: Command, lab: &Lab, arguments: &[&str]) -> Result<Self> {
        command.arg("tcp").args(arguments).args(["--netns", &lab.receiver.inode().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("can't run netdrop")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                read.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut stderr = BufReader::new(child.stderr.take().context("it is piped")?);
        let mut first = String::new();
        while !first.contains("attached") {
            if stderr.read_line(&mut first)? == 0 {
                bail!("netdrop ended before it attached: {}", first.trim());
            }
        }
        let said = Arc::new(Mutex::new(first));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(&(line + "\n"));
            }
        });
        Ok(Self { child, lines, said, reader })
    }

    /// The lines that it has printed.
    pub fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has printed more than so many lines. Where it doesn't, it is ended, and its accounts say what became of them.
    pub fn wait_for_more_than(self, lines: usize) -> Result<Self> {
        let enough = until("a row for each", PATIENCE, || Ok((self.so_far().len() > lines).then_some(())));
        let Err(error) = enough else { return Ok(self) };
        let said = Arc::clone(&self.said);
        let printed = self.end().unwrap_or_default().join("\n");
        let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(error.context(format!("it printed\n{printed}\nand said\n{said}")))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), signal)?)
    }

    /// Ends it; all its lines.
    pub fn end(self) -> Result<Vec<String>> {
        self.signal(Signal::SIGINT)?;
        self.wait()
    }

    /// Waits until it ends; all its lines.
    pub fn wait(mut self) -> Result<Vec<String>> {
        let status = until("netdrop to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        self.reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        ensure!(status.success(), "netdrop ended with {status}");
        Ok(std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A connection's line: what each column holds.
pub type Row = HashMap<String, String>;

/// The rows of a CSV with a header.
pub fn rows(lines: &[String]) -> Result<Vec<Row>> {
    let (header, rows) = lines.split_first().context("there is a header")?;
    let names = || header.split(',').map(str::to_owned);
    Ok(rows.iter().map(|row| names().zip(row.split(',').map(str::to_owned)).collect()).collect())
}

/// What a line must hold.
pub fn expect(row: &Row, expected: &[(&str, &str)]) -> Result<()> {
    for (name, value) in expected {
        let is = row.get(*name).map(String::as_str);
        ensure!(is == Some(*value), "{name} is {is:?} instead of {value:?}: {row:?}");
    }
    Ok(())
}

/// A listener on that address, and a connection to it: client and server.
pub fn connected(address: IpAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(SocketAddr::new(address, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// The client sends so much and the server answers so much; each then closes.
pub fn exchange(mut client: TcpStream, mut server: TcpStream, there: usize, back: usize) -> Result<()> {
    let sender = std::thread::spawn(move || -> Result<usize> {
        client.write_all(&vec![1; there])?;
        client.shutdown(Shutdown::Write)?;
        Ok(client.read_to_end(&mut Vec::new())?)
    });
    ensure!(server.read_to_end(&mut Vec::new())? == there, "not all came");
    server.write_all(&vec![2; back])?;
    drop(server);
    let received = sender.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    ensure!(received == back, "not all came back");
    Ok(())
}

/// Waits until all that was sent is acknowledged; what the kernel tells then.
pub fn acknowledged(socket: &TcpStream) -> Result<libc::tcp_info> {
    until("the acknowledgement", PATIENCE, || {
        Ok(Some(tcp_info(socket)?).filter(|info| info.tcpi_unacked == 0))
    })
}
