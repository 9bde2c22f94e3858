//! `netdrop tcp retransmits`: exactly what was lost is sent again, and each segment sent again has its row. The wire says what really
//! went by, the namespace's own counters how often.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::wire::{FAR, Fate, NEAR, Segment, Wire};
use crate::lab::{Lab, Namespace, RECEIVER, SENDER, set_option, tcp_info, until};
use crate::observer;
use crate::runner::Bench;
use crate::scenario::System;
use crate::tcp::{Row, Tcp, acknowledged, connected, expect, rows};

const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes of each write, which is a segment.
pub(super) const SIZE: usize = 100;
/// Writes of a flight: as many as the first congestion window takes (RFC 6928).
const FLIGHT: usize = 10;
/// Half of that window, where a sender of New Reno's goes on after a loss (RFC 5681, 3.1).
const THRESHOLD: &str = "5";
/// Segments of a flight that are lost.
pub(super) const LOST: usize = 3;

pub fn table() -> Vec<System> {
    let mut table = Vec::new();
    for (index, family) in ["v4", "v6"].into_iter().enumerate() {
        table.push(System::new(&format!("tcp-retransmits-fast-{family}"), move |bench| fast(bench, index)));
        table.push(System::new(&format!("tcp-retransmits-rto-{family}"), move |bench| timeout(bench, index)));
        table.push(System::new(&format!("tcp-retransmits-tlp-{family}"), move |bench| probe(bench, index)));
    }
    table.extend([
        System::new("tcp-retransmits-syn", syn),
        System::new("tcp-retransmits-syn-ack", syn_ack),
        System::new("tcp-retransmits-by", by),
        System::new("tcp-retransmits-ratio", ratio),
        System::new("tcp-retransmits-send-failed", send_failed),
        System::new("tcp-retransmits-not-window-probes", window_probes),
        System::new("tcp-retransmits-why-nft", why_nft),
        System::new("tcp-retransmits-why-socket", why_socket),
        System::new("tcp-retransmits-why-lost-beyond", why_lost_beyond),
        System::new("tcp-retransmits-why-zero-window", why_zero_window),
        System::new("tcp-retransmits-why-no-answer", why_no_answer),
    ]);
    table
}

/// A sender that does nothing by itself: no probes of the tail, no segments joined, New Reno, which every kernel has.
pub(super) fn steady(namespace: &Namespace) -> Result<()> {
    for (key, value) in [
        ("tcp_congestion_control", "reno"),
        ("tcp_early_retrans", "0"),
        ("tcp_retrans_collapse", "0"),
        ("tcp_autocorking", "0"),
    ] {
        namespace.sysctl(&format!("net/ipv4/{key}"), value)?;
    }
    Ok(())
}

/// Timers wait at least so long: an emulated machine's acknowledgements come before.
fn patient(wire: &Wire) -> Result<()> {
    let six = format!("-6 route replace {} dev t0 rto_min 1s", FAR[1]);
    wire.lab.receiver.ip(&[&format!("route replace {} dev t0 rto_min 1s", FAR[0])])?;
    wire.lab.receiver.run_with_input(&format!("ip {six}"), "")
}

/// A connection from the watched end to the other.
pub(super) fn across(near: &Namespace, far: &Namespace, to: IpAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = far.enter(|| Ok(TcpListener::bind(SocketAddr::new(to, 0))?))?;
    let address = listener.local_addr()?;
    let client = near.enter(|| Ok(TcpStream::connect(address)?))?;
    client.set_nodelay(true)?;
    let server = listener.accept()?.0;
    // What the handshake tells of the way is known from here on.
    acknowledged(&client)?;
    Ok((client, server))
}

/// So many segments, each of which begins with its number.
pub(super) fn flight(mut client: &TcpStream, segments: usize) -> Result<()> {
    for number in 0..segments {
        let mut payload = [0; SIZE];
        payload[0] = u8::try_from(number)?;
        client.write_all(&payload)?;
    }
    Ok(())
}

/// Loses segments with payload that `is_unlucky` chooses by their number, each so often.
pub(super) fn losing(
    times: usize,
    is_unlucky: impl Fn(u8) -> bool + Send + 'static,
) -> impl FnMut(&Segment) -> Fate + Send {
    let mut lost: HashMap<(SocketAddr, u32), usize> = HashMap::new();
    move |segment| {
        let Some(number) = segment.payload.first().filter(|_| segment.is_ours) else { return Fate::Passes };
        let so_far = lost.entry((segment.source, segment.sequence)).or_default();
        if is_unlucky(*number) && *so_far < times {
            *so_far += 1;
            return Fate::Lost;
        }
        Fate::Passes
    }
}

/// What the namespace itself counts: segments sent again, and those of them that couldn't be sent.
pub(super) fn counted(namespace: &Namespace) -> Result<[u64; 2]> {
    Ok([namespace.counter("Tcp", "RetransSegs")?, namespace.counter("TcpExt", "TCPRetransFail")?])
}

/// The rows of what is sent again while `work` runs. They are as many as the namespace counts: `RetransSegs` counts SYNs and
/// SYN-ACKs too, and attempts that failed, which `TCPRetransFail` counts once more (`__tcp_retransmit_skb`, `tcp_rtx_synack`).
fn told(
    bench: &Bench,
    lab: &Lab,
    flags: &[&str],
    count: usize,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<Row>> {
    let before = counted(&lab.receiver)?;
    let arguments: Vec<&str> = ["retransmits", "--format", "csv"].iter().chain(flags).copied().collect();
    let netdrop = Tcp::start(bench, lab, &arguments)?;
    work()?;
    let netdrop = netdrop.wait_for_more_than(count).with_context(|| {
        format!("RetransSegs, TCPRetransFail: {before:?}, then {:?}", counted(&lab.receiver))
    })?;
    let after = counted(&lab.receiver)?;
    let rows = rows(&netdrop.end()?)?;
    let sum = |name: &str, failed: bool| -> Result<u64> {
        let rows =
            rows.iter().filter(|row| row.get("failed_errno").is_some_and(|errno| errno.is_empty() != failed));
        let numbers = rows.map(|row| Ok(row.get(name).context("the column is there")?.parse::<u64>()?));
        numbers.sum()
    };
    ensure!(rows.len() == count, "{} rows instead of {count}: {rows:#?}", rows.len());
    ensure!(
        sum("weight", false)? + sum("weight", true)? == count as u64,
        "a row stands for several: {rows:#?}"
    );
    let [again, failed] = [after[0] - before[0], after[1] - before[1]];
    ensure!(sum("segments", false)? == again - failed, "{again} sent again, {failed} not: {rows:#?}");
    Ok(rows)
}

/// Each row is of the segment that went over the wire again, in the order of its flow.
fn as_on_the_wire(rows: &[Row], wire: &Wire) -> Result<()> {
    let mut again = wire.sent_again();
    again.sort_by_key(|(segment, _)| segment.source.ip().to_string());
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.get("local_address"));
    ensure!(rows.len() == again.len(), "{} segments went over the wire again: {rows:#?}", again.len());
    for (row, (segment, number)) in rows.into_iter().zip(&again) {
        expect(
            row,
            &[
                ("local_address", &segment.source.ip().to_string()),
                ("local_port", &segment.source.port().to_string()),
                ("remote_address", &segment.destination.ip().to_string()),
                ("remote_port", &segment.destination.port().to_string()),
                ("length", &segment.payload.len().to_string()),
                ("segments", "1"),
                ("device", "t0"),
                ("failed_errno", ""),
                ("owner_pid", &std::process::id().to_string()),
            ],
        )?;
        // A listener's answer has no socket yet that would tell its place.
        if !segment.is_syn_ack() {
            let sequence = segment.sequence.to_string();
            expect(row, &[("sequence", &sequence), ("segments_sent", &number.to_string())])?;
        }
    }
    Ok(())
}

/// Three segments of a flight are lost: the acknowledgements of those behind tell so.
fn fast(bench: &Bench, family: usize) -> Result<()> {
    let wire = Wire::new(losing(1, |number| usize::from(number) < LOST))?;
    steady(&wire.lab.receiver)?;
    patient(&wire)?;
    let (client, _server) = across(&wire.lab.receiver, &wire.far, FAR[family])?;
    let rows = told(bench, &wire.lab, &[], LOST, || {
        flight(&client, FLIGHT)?;
        acknowledged(&client).map(drop)
    })?;
    as_on_the_wire(&rows, &wire)?;
    for row in &rows {
        expect(row, &[("type", "fast"), ("state", "ESTABLISHED"), ("attempt", "0"), ("algorithm", "reno")])?;
        expect(row, &[("ssthresh", THRESHOLD), ("congestion_state", "3")])?;
    }
    let told = tcp_info(&client)?;
    let last = rows.last().context("there are rows")?;
    let total = told.tcpi_total_retrans.to_string();
    expect(last, &[("retransmits", &total)])?;
    expect(last, &[("lost", &LOST.to_string())])?;
    expect(last, &[("mss", &told.tcpi_snd_mss.to_string())])
}

/// One segment is lost three times: the timer runs off three times, and each time takes twice as long.
fn timeout(bench: &Bench, family: usize) -> Result<()> {
    const TIMES: usize = 3;
    let wire = Wire::new(losing(TIMES, |_| true))?;
    steady(&wire.lab.receiver)?;
    let (client, _server) = across(&wire.lab.receiver, &wire.far, FAR[family])?;
    // Nothing measures the way anew before an answer comes.
    let way = tcp_info(&client)?;
    let rows = told(bench, &wire.lab, &[], TIMES, || {
        flight(&client, 1)?;
        acknowledged(&client).map(drop)
    })?;
    as_on_the_wire(&rows, &wire)?;
    for (row, attempt) in rows.iter().zip(1..) {
        expect(row, &[("type", "rto"), ("state", "ESTABLISHED"), ("attempt", &attempt.to_string())])?;
        expect(row, &[("cwnd", "1"), ("ssthresh", THRESHOLD), ("algorithm", "reno")])?;
        expect(row, &[("congestion_state", "4"), ("packets_out", "1"), ("lost_out", "1")])?;
        expect(row, &[("srtt_us", &way.tcpi_rtt.to_string()), ("rttvar_us", &way.tcpi_rttvar.to_string())])?;
        expect(row, &[("retransmits", &attempt.to_string())])?;
    }
    Ok(())
}

/// The last segment is lost, and nothing behind it tells so: the sender probes.
fn probe(bench: &Bench, family: usize) -> Result<()> {
    const BEFORE: u8 = 2;
    let wire = Wire::new(losing(1, |number| number == BEFORE))?;
    steady(&wire.lab.receiver)?;
    patient(&wire)?;
    let (client, _server) = across(&wire.lab.receiver, &wire.far, FAR[family])?;
    flight(&client, BEFORE.into())?;
    acknowledged(&client)?;
    wire.lab.receiver.sysctl("net/ipv4/tcp_early_retrans", "3")?;
    let rows = told(bench, &wire.lab, &[], 1, || {
        (&client).write_all(&[BEFORE; SIZE])?;
        acknowledged(&client).map(drop)
    })?;
    as_on_the_wire(&rows, &wire)?;
    expect(&rows[0], &[("type", "tlp"), ("state", "ESTABLISHED"), ("attempt", "0"), ("algorithm", "reno")])
}

/// Which of the families a segment is of.
fn family(segment: &Segment) -> usize {
    usize::from(segment.source.is_ipv6())
}

/// Both families' connections at once; those are open at the end.
fn open(from: &Namespace, to: &Namespace, addresses: [IpAddr; 2]) -> Result<Vec<(TcpStream, TcpStream)>> {
    std::thread::scope(|scope| {
        let threads = addresses.map(|address| scope.spawn(move || across(from, to, address)));
        threads
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a connection panicked"))?)
            .into_iter()
            .collect()
    })
}

/// A row of each attempt of each family: first, second.
fn attempts(rows: &[Row], addresses: [IpAddr; 2], expected: &[(&str, &str)]) -> Result<()> {
    for address in addresses {
        let address = address.to_string();
        let of_family = rows.iter().filter(|row| row.get("local_address") == Some(&address));
        let mut attempts = 0;
        for row in of_family {
            attempts += 1;
            expect(row, &[("attempt", &attempts.to_string()), ("length", "0")])?;
            expect(row, expected)?;
        }
        ensure!(attempts == 2, "{attempts} attempts of {address}: {rows:#?}");
    }
    Ok(())
}

/// The first two SYNs of each connection get no answer.
fn syn(bench: &Bench) -> Result<()> {
    let mut lost = [0; 2];
    let wire = Wire::new(move |segment| {
        let lost = &mut lost[family(segment)];
        *lost += usize::from(segment.is_syn());
        if segment.is_syn() && *lost <= 2 { Fate::Lost } else { Fate::Passes }
    })?;
    steady(&wire.lab.receiver)?;
    let mut open_ones = Vec::new();
    let rows = told(bench, &wire.lab, &[], 4, || {
        open_ones = open(&wire.lab.receiver, &wire.far, FAR)?;
        Ok(())
    })?;
    as_on_the_wire(&rows, &wire)?;
    attempts(&rows, NEAR, &[("type", "syn"), ("state", "SYN_SENT"), ("cwnd", "1"), ("srtt_us", "0")])
}

/// Of one connection the first two SYN-ACKs are lost, of the other what the client answers to them.
fn syn_ack(bench: &Bench) -> Result<()> {
    let (mut syns, mut lost) = ([0; 2], [0; 2]);
    let wire = Wire::new(move |segment| {
        let family = family(segment);
        // The client's own impatience is left out: a SYN again is answered at once.
        syns[family] += usize::from(segment.is_syn());
        let is_again = segment.is_syn() && syns[family] > 1;
        let is_chosen = match family {
            0 => segment.is_syn_ack(),
            _ => !segment.is_ours && segment.flags == Segment::ACK,
        };
        if is_chosen && lost[family] < 2 {
            lost[family] += 1;
            return Fate::Lost;
        }
        if is_again { Fate::Lost } else { Fate::Passes }
    })?;
    steady(&wire.lab.receiver)?;
    let mut open_ones = Vec::new();
    let rows = told(bench, &wire.lab, &[], 4, || {
        open_ones = open(&wire.far, &wire.lab.receiver, NEAR)?;
        Ok(())
    })?;
    let mut rows = rows;
    let place = |row: &Row| row.get("local_address").cloned();
    rows.sort_by_key(place);
    let of_family = |row: &&Row, at: usize| place(row) == Some(NEAR[at].to_string());
    for (at, (_client, server)) in open_ones.iter().enumerate() {
        let (local, remote) = (server.local_addr()?, server.peer_addr()?);
        for row in rows.iter().filter(|row| of_family(row, at)) {
            expect(
                row,
                &[("local_port", &local.port().to_string()), ("remote_port", &remote.port().to_string())],
            )?;
            expect(row, &[("remote_address", &remote.ip().to_string())])?;
        }
    }
    attempts(&rows, NEAR, &[("type", "syn-ack"), ("state", "NEW_SYN_RECV"), ("segments", "1")])
}

/// The lines of text while a flight loses segments beyond this host.
fn text(bench: &Bench, wire: &Wire, client: &TcpStream, flags: &[&str]) -> Result<Vec<String>> {
    let arguments: Vec<&str> = ["retransmits", "--format", "text"].iter().chain(flags).copied().collect();
    let netdrop = Tcp::start_inside(bench, &wire.lab, &arguments)?;
    flight(client, FLIGHT)?;
    acknowledged(client)?;
    netdrop.end()
}

fn lossy() -> Result<(Wire, TcpStream, TcpStream)> {
    let wire = Wire::new(losing(1, |number| usize::from(number) < LOST))?;
    steady(&wire.lab.receiver)?;
    patient(&wire)?;
    let (client, server) = across(&wire.lab.receiver, &wire.far, FAR[0])?;
    Ok((wire, client, server))
}

/// Rows are told apart by what is asked for, and hold all.
fn by(bench: &Bench) -> Result<()> {
    for (by, expected) in [
        ("remote", FAR[0].to_string()),
        ("type", "fast".into()),
        ("owner", format!("({})", std::process::id())),
        ("device", "t0".into()),
    ] {
        let (wire, client, _server) = lossy()?;
        let lines = text(bench, &wire, &client, &["--by", by])?;
        let is_row = |line: &&String| {
            let mut words = line.split_whitespace();
            words.next() == Some("#") && words.next() == Some("3") && line.contains(&expected)
        };
        let rows: Vec<_> =
            lines.iter().skip_while(|line| !line.contains("# RETRANS")).filter(is_row).collect();
        ensure!(rows.len() == 1, "--by {by}: no row of {expected}: {lines:#?}");
    }
    Ok(())
}

/// The ratio is that of the kernel's own counters, to the last segment.
fn ratio(bench: &Bench) -> Result<()> {
    let (wire, client, _server) = lossy()?;
    let sent = |name: &str| wire.lab.receiver.counter("Tcp", name);
    let before = [sent("RetransSegs")?, sent("OutSegs")?];
    let lines = text(bench, &wire, &client, &[])?;
    let [again, all] = [sent("RetransSegs")? - before[0], sent("OutSegs")? - before[1]];
    ensure!(again == LOST as u64, "{again} segments sent again");
    #[expect(clippy::cast_precision_loss, reason = "a few segments")]
    let percent = again as f64 * 100.0 / all as f64;
    let expected = format!("sent {again} segments again: {percent:.2}% of {all} segments sent");
    let is_told = lines.iter().any(|line| line.contains(&expected));
    ensure!(is_told, "{expected:?} isn't among {lines:#?}");
    let total = format!("# {again} retransmits in ");
    let is_total = |line: &&String| line.starts_with(&total) && line.ends_with(&format!("fast {again}."));
    ensure!(lines.iter().any(|line| is_total(&line)), "{total:?} isn't among {lines:#?}");
    Ok(())
}

/// The namespace's own filter refuses the second segment with data: of one that is lost, the first attempt to send it again.
pub(super) fn refusing(namespace: &Namespace) -> Result<()> {
    let rules = format!(
        "table ip t {{ chain c {{ type filter hook output priority 0; meta l4proto tcp meta length > {SIZE} \
         numgen inc mod 1000 == 1 drop; }}; }}"
    );
    namespace.feature("nftables with numgen", "nft -f -", &rules)
}

/// What the sender's own filter refuses is no retransmission, though `RetransSegs` counts it.
fn send_failed(bench: &Bench) -> Result<()> {
    let wire = Wire::new(losing(1, |_| true))?;
    steady(&wire.lab.receiver)?;
    refusing(&wire.lab.receiver)?;
    let (client, _server) = across(&wire.lab.receiver, &wire.far, FAR[0])?;
    let is_told = observer::tracepoint("tcp/tcp_retransmit_skb")?.contains(" err;");
    let rows = told(bench, &wire.lab, &[], 1 + usize::from(is_told), || {
        flight(&client, 1)?;
        acknowledged(&client).map(drop)
    })?;
    ensure!(counted(&wire.lab.receiver)? == [2, 1], "{:?}", counted(&wire.lab.receiver));
    ensure!(wire.sent_again().len() == 1, "{:#?}", wire.seen());
    if is_told {
        let errno = (libc::EPERM).to_string();
        expect(&rows[0], &[("type", "rto"), ("attempt", "1"), ("failed_errno", &errno)])?;
    }
    let last = rows.last().context("there is a row")?;
    expect(last, &[("type", "rto"), ("attempt", "2"), ("failed_errno", "")])
}

/// A receiver that doesn't read shuts its window: what the sender asks it with from time to time carries nothing, and is no
/// retransmission; neither counts the kernel it as one.
fn window_probes(bench: &Bench) -> Result<()> {
    let lab = Lab::alone()?;
    steady(&lab.receiver)?;
    let (mut client, _server) = lab.receiver.enter(|| connected([127, 0, 0, 1].into()))?;
    client.set_nonblocking(true)?;
    let netdrop = Tcp::start(bench, &lab, &["retransmits", "--format", "csv"])?;
    while client.write(&[0; 1 << 13]).is_ok() {}
    until(
        "two probes",
        PATIENCE,
        || Ok((lab.receiver.counter("TcpExt", "TCPWinProbe")? >= 2).then_some(())),
    )?;
    let rows = rows(&netdrop.end()?)?;
    ensure!(rows.is_empty(), "{rows:#?}");
    ensure!(counted(&lab.receiver)? == [0, 0], "{:?}", counted(&lab.receiver));
    Ok(())
}

/// `--why`, of the watched end and of the other, so that what is dropped there is on this host too: the sentence of the one flow.
fn why(bench: &Bench, lab: &Lab, other: &Namespace, work: impl FnOnce(&Tcp) -> Result<()>) -> Result<String> {
    let other = other.inode().to_string();
    let netdrop = Tcp::start(bench, lab, &["retransmits", "--why", "--format", "text", "--netns", &other])?;
    work(&netdrop)?;
    let lines = netdrop.end()?;
    let mut sentences = lines.iter().filter_map(|line| Some(line.split_once('↳')?.1.trim().to_owned()));
    let sentence = sentences.next().with_context(|| format!("no reason in {lines:#?}"))?;
    ensure!(sentences.next().is_none(), "more than one flow: {lines:#?}");
    Ok(sentence)
}

fn is_what(sentence: &str, expected: &str) -> Result<()> {
    ensure!(sentence == expected, "{sentence:?} instead of {expected:?}");
    Ok(())
}

/// The receiver's filter drops the first three segments with data.
fn why_nft(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let (near, far) = (&lab.receiver, lab.from());
    steady(near)?;
    near.ip(&[&format!("route replace {} dev {} rto_min 1s", SENDER.v4, RECEIVER.device)])?;
    let rules = format!(
        "table ip t {{ chain c {{ type filter hook input priority 0; meta l4proto tcp meta length > {SIZE} \
         numgen inc mod 1000 < {LOST} drop; }}; }}"
    );
    far.feature("nftables with numgen", "nft -f -", &rules)?;
    let (client, _server) = across(near, far, SENDER.v4.into())?;
    let sentence = why(bench, &lab, far, |_| {
        flight(&client, FLIGHT)?;
        acknowledged(&client).map(drop)
    })?;
    ensure!(counted(near)? == [LOST as u64, 0], "{:?}", counted(near));
    let places =
        ["nft_do_chain (NETFILTER_DROP)", "nf_hook_slow (NETFILTER_DROP)", "nf_hook_slow", "nft_do_chain"];
    let sentences = places.map(|place| {
        format!("{LOST} retransmits, {LOST} drops at {place} on this host in netns {}", far.name())
    });
    ensure!(sentences.contains(&sentence), "{sentence:?} instead of {:?}", sentences[0]);
    Ok(())
}

/// The receiver's socket takes nothing for a while: as many drops as retransmits, however long that is.
fn why_socket(bench: &Bench) -> Result<()> {
    let lab = Lab::pair()?;
    let (near, far) = (&lab.receiver, lab.from());
    steady(near)?;
    let (client, server) = across(near, far, SENDER.v4.into())?;
    let sentence = why(bench, &lab, far, |netdrop| {
        attach_drop(&server)?;
        flight(&client, 1)?;
        let first = |line: &String| line.contains(" rto ");
        until("a timeout", PATIENCE, || Ok(netdrop.so_far().iter().any(first).then_some(())))?;
        set_option(&server, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0_i32)?;
        acknowledged(&client).map(drop)
    })?;
    let [again, _] = counted(near)?;
    let what = if again == 1 { ("retransmit", "drop") } else { ("retransmits", "drops") };
    let begin = format!("{again} {}, {again} {} at ", what.0, what.1);
    let end = format!(" on this host in netns {}", far.name());
    let place = sentence.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(&end));
    let place = place.with_context(|| format!("{sentence:?} instead of {begin:?} and {end:?}"))?;
    let places = ["tcp_v4_rcv (SOCKET_FILTER)", "tcp_v4_rcv (NOT_SPECIFIED)", "tcp_v4_rcv"];
    ensure!(places.contains(&place), "{place:?}");
    Ok(())
}

/// A filter of one instruction that takes nothing (`SO_ATTACH_FILTER` of socket(7)).
fn attach_drop(socket: &TcpStream) -> Result<()> {
    let mut nothing =
        libc::sock_filter { code: u16::try_from(libc::BPF_RET | libc::BPF_K)?, jt: 0, jf: 0, k: 0 };
    set_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &libc::sock_fprog { len: 1, filter: &raw mut nothing },
    )
}

/// The wire loses them: both ends are watched, and neither drops anything.
fn why_lost_beyond(bench: &Bench) -> Result<()> {
    let (wire, client, _server) = lossy()?;
    let sentence = why(bench, &wire.lab, &wire.far, |_| {
        flight(&client, FLIGHT)?;
        acknowledged(&client).map(drop)
    })?;
    is_what(&sentence, &format!("{LOST} retransmits, no drop on this host: lost beyond it"))
}

/// The peer takes its window back while a segment is on the way (which RFC 9293, 3.8.6 says a sender must bear): the timer's copies are what
/// asks it then.
fn why_zero_window(bench: &Bench) -> Result<()> {
    const TIMES: usize = 2;
    let mut lose = losing(TIMES, |number| number == 1);
    let mut is_open = false;
    let wire = Wire::new(move |segment| {
        let fate = lose(segment);
        is_open |= segment.is_ours && segment.payload.first() == Some(&1) && fate == Fate::Passes;
        if !segment.is_ours && segment.flags == Segment::ACK && !is_open { Fate::Shut } else { fate }
    })?;
    steady(&wire.lab.receiver)?;
    let (client, _server) = across(&wire.lab.receiver, &wire.far, FAR[0])?;
    let sentence = why(bench, &wire.lab, &wire.far, |_| {
        // Both leave at once: before anything is answered.
        let size = usize::try_from(tcp_info(&client)?.tcpi_snd_mss)?;
        (&client).write_all(&[vec![0; size], vec![1; size]].concat())?;
        acknowledged(&client).map(drop)
    })?;
    is_what(&sentence, &format!("{TIMES} retransmits, the peer's window is zero: its program doesn't read"))
}

/// Nobody answers until the second SYN again.
fn why_no_answer(bench: &Bench) -> Result<()> {
    let mut syns = 0;
    let wire = Wire::new(move |segment| {
        syns += usize::from(segment.is_syn());
        if segment.is_syn() && syns == 1 { Fate::Lost } else { Fate::Passes }
    })?;
    let sentence =
        why(bench, &wire.lab, &wire.far, |_| across(&wire.lab.receiver, &wire.far, FAR[0]).map(drop))?;
    let why = "the peer doesn't answer the SYN (it is away, or its accept queue is full)";
    is_what(&sentence, &format!("1 retransmit, {why}; no drop on this host"))
}
