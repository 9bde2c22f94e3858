//! What is known of an event's socket, its connection and TCP's own numbers.

use super::super::push::{number, string};
use super::super::socket::push_queues;
use crate::model::tcp::{Connection, Opened, TcpEvent, TcpNumbers};
use crate::model::{Socket, SocketKind};

/// `icsk_ca_state` (`enum tcp_ca_state`, include/uapi/linux/tcp.h).
const CA_STATES: [&str; 5] = ["open", "disorder", "cwr", "recovery", "loss"];

/// `,"socket":{…},"connection":{…},"tcp":{…}`, as far as there is a socket.
pub(super) fn push(out: &mut Vec<u8>, event: &TcpEvent) {
    if let Some(socket) = &event.socket {
        push_socket(out, socket);
    }
    if let Some(numbers) = &event.numbers {
        push_connection(out, &event.connection);
        push_numbers(out, event, numbers);
    }
}

/// Identity and queues; all else is the event's own.
fn push_socket(out: &mut Vec<u8>, socket: &Socket) {
    let start = out.len();
    match socket.kind {
        SocketKind::Full => {}
        SocketKind::TimeWait => string(out, br#","kind":"#, "time-wait"),
        SocketKind::Request => string(out, br#","kind":"#, "request"),
    }
    if let Some(queues) = &socket.queues {
        push_queues(out, queues);
    }
    if let Some(inode) = socket.inode {
        number(out, br#","inode":"#, inode);
    }
    if let Some(cookie) = socket.cookie {
        number(out, br#","cookie":"#, cookie);
    }
    enclose(out, start, br#","socket":{"#);
}

fn push_connection(out: &mut Vec<u8>, connection: &Connection) {
    let start = out.len();
    let known: &[u8] = if connection.known_since_birth { b"true" } else { b"false" };
    out.extend_from_slice(br#","known_since_birth":"#);
    out.extend_from_slice(known);
    if let Some(opened) = connection.opened {
        string(out, br#","opened":"#, Opened::as_str(opened));
    }
    if let Some(age) = connection.age {
        number(out, br#","age_us":"#, age.as_micros());
    }
    if let Some(established) = connection.established {
        number(out, br#","established_us":"#, established.as_micros());
    }
    let happened = [
        (connection.reset_sent, &br#","reset_sent":true"#[..]),
        (connection.reset_received, br#","reset_received":true"#),
        (connection.fin_sent, br#","fin_sent":true"#),
        (connection.fin_received, br#","fin_received":true"#),
    ];
    for (_, member) in happened.into_iter().filter(|(happened, _)| *happened) {
        out.extend_from_slice(member);
    }
    enclose(out, start, br#","connection":{"#);
}

fn push_numbers(out: &mut Vec<u8>, event: &TcpEvent, numbers: &TcpNumbers) {
    number(out, br#","tcp":{"bytes_sent":"#, numbers.bytes_sent);
    number(out, br#","bytes_retransmitted":"#, numbers.bytes_retransmitted);
    number(out, br#","bytes_acked":"#, numbers.bytes_acked);
    number(out, br#","bytes_received":"#, numbers.bytes_received);
    number(out, br#","segments_in":"#, numbers.segments_in);
    number(out, br#","segments_out":"#, numbers.segments_out);
    number(out, br#","data_segments_in":"#, numbers.data_segments_in);
    number(out, br#","data_segments_out":"#, numbers.data_segments_out);
    number(out, br#","retransmits":"#, numbers.retransmits);
    number(out, br#","lost":"#, numbers.lost);
    number(out, br#","packets_out":"#, numbers.packets_out);
    number(out, br#","lost_out":"#, numbers.lost_out);
    number(out, br#","sacked_out":"#, numbers.sacked_out);
    number(out, br#","retransmitted_out":"#, numbers.retransmitted_out);
    number(out, br#","delivered":"#, numbers.delivered);
    number(out, br#","cwnd":"#, numbers.cwnd);
    if let Some(segments) = event.ssthresh() {
        number(out, br#","ssthresh":"#, segments);
    }
    push_times(out, numbers);
    number(out, br#","mss":"#, numbers.mss);
    if let Some(rate) = event.delivery_rate() {
        number(out, br#","delivery_rate":"#, rate);
    }
    number(out, br#","send_window":"#, numbers.send_window);
    number(out, br#","receive_window":"#, numbers.receive_window);
    number(out, br#","snd_una":"#, numbers.snd_una);
    number(out, br#","snd_nxt":"#, numbers.snd_nxt);
    number(out, br#","rcv_nxt":"#, numbers.rcv_nxt);
    number(out, br#","reordering":"#, numbers.reordering);
    number(out, br#","reordering_seen":"#, numbers.reordering_seen);
    if let Some(state) = CA_STATES.get(usize::from(numbers.ca_state)) {
        string(out, br#","ca_state":"#, state);
    }
    number(out, br#","timeouts":"#, numbers.timeouts);
    number(out, br#","probes":"#, numbers.probes);
    if let Some(algorithm) = event.algorithm() {
        string(out, br#","algorithm":"#, &algorithm);
    }
    if let Some(payload) = event.payload() {
        number(out, br#","payload_sent":"#, payload.sent);
        number(out, br#","payload_acked":"#, payload.acked);
        number(out, br#","payload_received":"#, payload.received);
    }
    out.push(b'}');
}

/// Those that were measured.
fn push_times(out: &mut Vec<u8>, numbers: &TcpNumbers) {
    if numbers.srtt_us > 0 {
        number(out, br#","srtt_us":"#, numbers.srtt_us);
        number(out, br#","rttvar_us":"#, numbers.rttvar_us);
    }
    if numbers.min_rtt_us != u32::MAX {
        number(out, br#","min_rtt_us":"#, numbers.min_rtt_us);
    }
    if numbers.rtt_us > 0 {
        number(out, br#","rtt_us":"#, numbers.rtt_us);
    }
}

/// Makes the members since `start` an object, the comma of the first making room for `opening`; nothing of nothing.
fn enclose(out: &mut Vec<u8>, start: usize, opening: &[u8]) {
    if out.len() > start {
        out.splice(start..=start, opening.iter().copied());
        out.push(b'}');
    }
}
