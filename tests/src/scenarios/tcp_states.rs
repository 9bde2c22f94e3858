//! `netdrop tcp states`.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lab::{Lab, Skip, until};
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::Tcp;

const PATIENCE: Duration = Duration::from_mins(1);

pub fn table() -> Vec<System> {
    vec![System::new("tcp-states-listener", listener)]
}

/// Connections that nobody accepts wait in the listener's queue, and changes of state are counted exactly.
fn listener(bench: &Bench) -> Result<()> {
    const WAITING: usize = 5;
    let lab = Lab::alone()?;
    let netdrop = Tcp::start(bench, &lab, &["states", "--format", "text", "--interval", "200ms"])?;
    let (_listener, _clients) = lab.receiver.enter(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7008))?;
        let clients = (0..WAITING).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, 7008)));
        let clients = clients.collect::<Result<Vec<_>, _>>()?;
        Ok((listener, clients))
    })?;
    let waits = format!("listener 127.0.0.1:7008 accept {WAITING}/");
    until("what waits to be seen", PATIENCE, || {
        let lines = netdrop.so_far();
        // A module that isn't there can't be loaded from within a small guest.
        if lines.iter().any(|line| line.contains("can't list TCP's sockets")) {
            return Err(Skip("this kernel can't list TCP's sockets (tcp_diag)".into()).into());
        }
        Ok(lines.iter().any(|line| line.contains(&waits)).then_some(()))
    })?;
    let lines = netdrop.end()?;
    let counted = |change: &str| {
        let row = lines.iter().find(|line| line.starts_with('#') && line.contains(change))?;
        row.split_whitespace().nth(2)?.parse::<usize>().ok()
    };
    for change in ["SYN_SENT → ESTABLISHED", "SYN_RECV → ESTABLISHED"] {
        ensure!(counted(change) == Some(WAITING), "{change}: {:?} in {lines:#?}", counted(change));
    }
    Ok(())
}
