//! Hosts on which nothing is wrong, under plain load: no finding above info.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::doctor::Doctor;
use crate::lab::guest::is_guest;
use crate::lab::{Lab, Namespace, wait_reachable};
use crate::runner::Bench;
use crate::scenario::{Case, systems};

pub fn table() -> Vec<Case> {
    systems([
        ("doctor-silence-udp", udp),
        ("doctor-silence-tcp", tcp),
        ("doctor-silence-pair", pair),
        ("doctor-silence-bridge", bridge),
        ("doctor-silence-ipv6", ipv6),
        ("doctor-silence-connections", connections),
        ("doctor-silence-nat", nat),
        ("doctor-silence-forwarder", forwarder),
        ("doctor-silence-multicast", multicast),
        ("doctor-silence-listener", busy_listener),
        ("doctor-silence-idle", idle),
    ])
}

/// All checks, of these namespaces, while `load` runs. What concerns the whole host is judged in guests: elsewhere it has other work beside.
fn quiet(bench: &Bench, namespaces: &[&Namespace], load: impl FnOnce() -> Result<()>) -> Result<()> {
    let names: Vec<_> = namespaces.iter().map(|namespace| namespace.name()).collect();
    let doctor = Doctor::start(bench, &["--netns", &names.join(",")])?;
    load()?;
    let told = doctor.end(bench)?;
    for finding in &told.findings {
        let is_ours = finding["netns"].is_string();
        if finding["severity"] != "info" && (is_ours || is_guest()) {
            bail!("on a host where nothing is wrong: {finding}");
        }
    }
    ensure!(told.summary["checked"].as_u64() > Some(5), "{} {:?}", told.summary, told.unchecked);
    Ok(())
}

/// Datagrams from one socket to another, which reads each.
fn datagrams(from: &UdpSocket, to: &UdpSocket, address: SocketAddr, count: usize) -> Result<()> {
    to.set_read_timeout(Some(Duration::from_secs(10)))?;
    for _ in 0..count {
        from.send_to(&[7; 1000], address)?;
        to.recv_from(&mut [0; 1000]).context("a datagram didn't come")?;
    }
    Ok(())
}

/// Connections one after the other, each with a question of so many bytes and its answer.
fn questions(from: &Namespace, to: &Namespace, address: IpAddr, count: usize, bytes: usize) -> Result<()> {
    let listener = to.enter(|| Ok(TcpListener::bind((address, 0))?))?;
    let at = listener.local_addr()?;
    thread::scope(|scope| {
        let server = scope.spawn(move || -> Result<()> {
            for _ in 0..count {
                let (mut stream, _) = listener.accept()?;
                let mut question = vec![0; bytes];
                stream.read_exact(&mut question)?;
                stream.write_all(&question)?;
            }
            Ok(())
        });
        from.enter(|| {
            for _ in 0..count {
                let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(10))?;
                let mut half = stream.try_clone()?;
                thread::scope(|scope| {
                    scope.spawn(move || half.write_all(&vec![1; bytes]));
                    let mut answer = vec![0; bytes];
                    stream.read_exact(&mut answer)
                })?;
            }
            Ok(())
        })?;
        server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn bound(namespace: &Namespace, address: impl Into<IpAddr> + Send) -> Result<UdpSocket> {
    let address = address.into();
    namespace.enter(move || Ok(UdpSocket::bind((address, 0))?))
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 2);

/// A host that talks to itself by datagrams.
fn udp(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    quiet(bench, &[&lab.receiver], || {
        let (from, to) = (bound(&lab.receiver, LOOPBACK)?, bound(&lab.receiver, LOOPBACK)?);
        datagrams(&from, &to, to.local_addr()?, 3000)
    })
}

/// The same by a few large connections.
fn tcp(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    quiet(bench, &[&lab.receiver], || questions(&lab.receiver, &lab.receiver, LOOPBACK.into(), 4, 4 << 20))
}

/// Two hosts on a wire.
fn pair(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    quiet(bench, &[lab.from(), &lab.receiver], || {
        let (from, to) = (bound(lab.from(), SENDER)?, bound(&lab.receiver, RECEIVER)?);
        datagrams(&from, &to, to.local_addr()?, 1000)?;
        questions(lab.from(), &lab.receiver, RECEIVER.into(), 20, 100_000)
    })
}

/// A host whose address is on a bridge.
fn bridge(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    lab.receiver.feature("bridges", "ip -batch -", "link add br0 type bridge forward_delay 0\n")?;
    lab.receiver.ip(&[
        "link set br0 up",
        "addr del 10.9.0.2/24 dev r0",
        "link set r0 master br0",
        "addr add 10.9.0.2/24 dev br0",
    ])?;
    lab.from().ip(&["neigh del 10.9.0.2 dev s0"])?;
    wait_reachable(lab.from(), &lab.receiver, RECEIVER.into())?;
    quiet(bench, &[lab.from(), &lab.receiver], || {
        let (from, to) = (bound(lab.from(), SENDER)?, bound(&lab.receiver, RECEIVER)?);
        datagrams(&from, &to, to.local_addr()?, 1000)?;
        questions(lab.from(), &lab.receiver, RECEIVER.into(), 20, 100_000)
    })
}

/// Two hosts that speak IPv6.
fn ipv6(bench: &Bench) -> Result<()> {
    let lab = Lab::pair_v6()?;
    let [sender, receiver]: [IpAddr; 2] = ["fd09::1".parse()?, "fd09::2".parse()?];
    wait_reachable(lab.from(), &lab.receiver, receiver)?;
    quiet(bench, &[lab.from(), &lab.receiver], || {
        let (from, to) = (bound(lab.from(), sender)?, bound(&lab.receiver, receiver)?);
        datagrams(&from, &to, to.local_addr()?, 1000)?;
        questions(lab.from(), &lab.receiver, receiver, 20, 100_000)
    })
}

/// Hundreds of connections that stay open.
fn connections(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    quiet(bench, &[&lab.receiver], || {
        lab.receiver.enter(|| {
            let listener = TcpListener::bind((LOOPBACK, 0))?;
            let mut open = Vec::new();
            for _ in 0..400 {
                let client = TcpStream::connect(listener.local_addr()?)?;
                open.push((client, listener.accept()?));
            }
            for (client, (server, _)) in &mut open {
                client.write_all(b"hey")?;
                server.read_exact(&mut [0; 3])?;
            }
            Ok(())
        })
    })
}

/// A host of containers: what they send gets the host's address.
fn nat(bench: &Bench) -> Result<()> {
    const RULES: &str = "add table ip nat\nadd chain ip nat out { type nat hook postrouting priority 100; }\n\
                         add rule ip nat out oifname r1 masquerade\n";
    let lab = Lab::router()?;
    lab.receiver.feature("address translation by nftables", "nft -f -", RULES)?;
    lab.from().ip(&["route add default via 10.9.0.2"])?;
    quiet(bench, &[lab.from(), &lab.receiver, lab.behind()], || {
        questions(lab.from(), lab.behind(), BEHIND.into(), 50, 10_000)
    })
}

/// A router.
fn forwarder(bench: &Bench) -> Result<()> {
    let lab = Lab::router()?;
    lab.from().ip(&["route add default via 10.9.0.2"])?;
    lab.behind().ip(&["route add default via 10.9.1.1"])?;
    quiet(bench, &[lab.from(), &lab.receiver, lab.behind()], || {
        let (from, to) = (bound(lab.from(), SENDER)?, bound(lab.behind(), BEHIND)?);
        datagrams(&from, &to, to.local_addr()?, 1000)?;
        questions(lab.from(), lab.behind(), BEHIND.into(), 20, 100_000)
    })
}

/// A group with a member.
fn multicast(bench: &Bench) -> Result<()> {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
    let lab = Lab::pair()?;
    lab.from().ip(&["route add 239.0.0.0/8 dev s0"])?;
    lab.receiver.ip(&["route add 239.0.0.0/8 dev r0"])?;
    quiet(bench, &[lab.from(), &lab.receiver], || {
        let (from, to) = (bound(lab.from(), SENDER)?, bound(&lab.receiver, Ipv4Addr::UNSPECIFIED)?);
        lab.receiver.enter(|| Ok(to.join_multicast_v4(&GROUP, &RECEIVER)?))?;
        datagrams(&from, &to, (GROUP, to.local_addr()?.port()).into(), 500)
    })
}

/// A server that is asked often, and accepts in time.
fn busy_listener(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    quiet(bench, &[&lab.receiver], || questions(&lab.receiver, &lab.receiver, LOOPBACK.into(), 1500, 100))
}

/// A host that does nothing.
fn idle(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    quiet(bench, &[&lab.receiver], || {
        thread::sleep(Duration::from_secs(1));
        Ok(())
    })
}
