//! From netdrop-common's `Socket` to the model's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netdrop_common::{
    AF_INET, AF_INET6, Event, Extra, SOCKET_OF_PACKET, SOCKET_RECEIVING, SOCKET_REQUEST, SOCKET_TIME_WAIT,
    Socket as Raw, WITH_TASK, read_plain, tcp_state,
};

use crate::model::{CpuTask, Endpoint, IPPROTO_MPTCP, IPPROTO_TCP, Queues, Socket, SocketKind, Whose};

/// The socket and the task at the end of a record of which `rest` follows the event; absent where the record has none, or
/// nothing that makes sense.
pub fn decode(event: &Event, rest: &[u8]) -> (Option<Socket>, Option<CpuTask>) {
    let header = usize::from(event.header_length);
    let place = rest.len().checked_sub(size_of::<Extra>()).filter(|start| *start >= header);
    let Some(extra) = place.and_then(|start| read_plain::<Extra>(&rest[start..])) else {
        return (None, None);
    };
    let whose = match event.socket & !WITH_TASK {
        SOCKET_OF_PACKET => Some(Whose::Packet),
        SOCKET_RECEIVING => Some(Whose::Receiver),
        _ => None,
    };
    let task = (event.socket & WITH_TASK != 0)
        .then_some(CpuTask { pid: extra.task.pid, command: extra.task.command });
    (whose.map(|whose| socket(whose, &extra.socket)), task)
}

/// The socket in the model's terms.
pub fn socket(whose: Whose, raw: &Raw) -> Socket {
    let kind = match raw.kind {
        SOCKET_TIME_WAIT => SocketKind::TimeWait,
        SOCKET_REQUEST => SocketKind::Request,
        _ => SocketKind::Full,
    };
    let known = |number: u64| (number != 0).then_some(number);
    Socket {
        whose,
        kind,
        family: raw.family,
        protocol: raw.protocol,
        state: raw.state,
        local: endpoint(raw.family, raw.local, raw.local_port),
        remote: endpoint(raw.family, raw.remote, raw.remote_port).filter(|_| raw.remote_port != 0),
        queues: (kind != SocketKind::TimeWait).then(|| queues(kind, raw)),
        inode: known(raw.inode),
        cookie: known(raw.cookie),
        cgroup: known(raw.cgroup),
    }
}

/// An address of that family with its port, where it has them.
pub fn endpoint(family: u16, address: [u8; 16], port: u16) -> Option<Endpoint> {
    let address = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::from(*address.first_chunk()?)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(address)),
        _ => return None,
    };
    // An unbound socket has none, nor has one that gave it back: a connection that was reset.
    Some(Endpoint { address, port: (port != 0).then_some(port) })
}

fn queues(kind: SocketKind, raw: &Raw) -> Queues {
    /// `sk_wmem_alloc` begins with one (`sk_wmem_alloc_get`, include/net/sock.h).
    const BIAS: u32 = 1;
    let is_tcp = matches!(raw.protocol, IPPROTO_TCP | IPPROTO_MPTCP);
    let listens = kind == SocketKind::Request || raw.state == tcp_state::LISTEN;
    Queues {
        receive: raw.receive_queue,
        receive_limit: raw.receive_limit,
        send: if is_tcp { raw.send_queued } else { raw.send_allocated.saturating_sub(BIAS) },
        send_limit: raw.send_limit,
        backlog: raw.backlog,
        accept: listens.then_some((raw.accept_queue, raw.accept_limit)),
        drops: raw.drops,
    }
}

#[cfg(test)]
mod tests {
    use netdrop_common::{SOCKET_FULL, SOCKET_NONE, Task, bytes_of};

    use super::*;

    fn record(socket: u8, raw: Raw) -> (Option<Socket>, Option<CpuTask>) {
        let mut command = [0; 16];
        command[..5].copy_from_slice(b"nginx");
        let extra = Extra { socket: raw, task: Task { pid: 42, tid: 43, command } };
        let event = Event { socket, header_length: 4, ..Event::default() };
        decode(&event, &[&[0xaa; 64][..], bytes_of(&extra)].concat())
    }

    fn udp() -> Raw {
        let mut local = [0; 16];
        local[..4].copy_from_slice(&[127, 0, 0, 1]);
        Raw {
            family: AF_INET,
            protocol: 17,
            state: 7,
            kind: SOCKET_FULL,
            local,
            local_port: 9000,
            receive_queue: 2304,
            receive_limit: 2304,
            send_allocated: 1,
            inode: 4711,
            ..Raw::default()
        }
    }

    #[test]
    fn a_udp_socket_that_is_not_read() {
        let (socket, task) = record(SOCKET_RECEIVING | WITH_TASK, udp());
        let socket = socket.unwrap();
        assert_eq!(
            (socket.whose, socket.kind, socket.inode),
            (Whose::Receiver, SocketKind::Full, Some(4711))
        );
        assert_eq!((socket.family_name(), socket.state_name()), (Some("ipv4"), Some("UNCONNECTED")));
        assert_eq!(socket.local.unwrap().port, Some(9000));
        assert_eq!(socket.remote, None);
        let queues = socket.queues.unwrap();
        assert_eq!((queues.receive, queues.receive_limit, queues.send, queues.accept), (2304, 2304, 0, None));
        assert_eq!(task.unwrap().name(), "nginx");
    }

    #[test]
    fn a_request_has_its_listeners_queues() {
        let raw =
            Raw { kind: SOCKET_REQUEST, state: 12, protocol: 6, accept_queue: 2, accept_limit: 1, ..udp() };
        let socket = record(SOCKET_OF_PACKET, raw).0.unwrap();
        assert_eq!(
            (socket.state_name(), socket.queues.unwrap().accept),
            (Some("NEW_SYN_RECV"), Some((2, 1)))
        );
    }

    #[test]
    fn what_is_left_of_a_connection_has_addresses_alone() {
        let raw = Raw { kind: SOCKET_TIME_WAIT, state: 6, protocol: 0, ..udp() };
        let socket = record(SOCKET_OF_PACKET, raw).0.unwrap();
        assert_eq!((socket.state_name(), socket.queues), (Some("TIME_WAIT"), None));
    }

    #[test]
    fn no_socket_and_no_room_for_one() {
        assert_eq!(record(SOCKET_NONE, udp()), (None, None));
        assert_eq!(record(100, udp()), (None, None));
        let event = Event { socket: SOCKET_OF_PACKET, header_length: 60, ..Event::default() };
        assert_eq!(decode(&event, &[0; 96]), (None, None));
        assert_eq!(decode(&event, &[0; 130]), (None, None), "the header's bytes are not taken for a socket");
    }
}
