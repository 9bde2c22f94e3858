use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use netlink_packet_core::Parseable;
use proptest::prelude::*;

use super::super::Socket;
use super::*;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ANY_V4: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn inode_of(socket: &impl AsFd) -> u32 {
    u32::try_from(nix::sys::stat::fstat(socket).unwrap().st_ino).unwrap()
}

fn find(protocol: u8, local: SocketAddr, remote: SocketAddr) -> Option<Found> {
    Diag::open(None).unwrap().find(&Query { protocol, local, remote, device: 0 }).unwrap()
}

/// Needs no privileges. The client's request is for an address, the listener's for any.
#[test]
fn a_listener_is_found_by_a_packets_addresses() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let found = find(TCP, ([127, 0, 0, 1], port).into(), ([127, 0, 0, 9], 4711).into()).unwrap();
    assert_eq!((found.inode, found.state, found.receive_queue), (inode_of(&listener), 10, 0));
    assert_ne!(found.cookie, 0);
    let numbers = Socket { inode: found.inode, cookie: found.cookie, cgroup: found.cgroup };
    assert_eq!(found.socket(), numbers);
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let found = find(TCP, ([127, 0, 0, 1], port).into(), ANY_V4).unwrap();
    assert_eq!(found.receive_queue, 1, "the connection that waits to be accepted");
}

#[test]
fn a_connection_is_found_by_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let found = find(TCP, here, there).unwrap();
    assert_eq!((found.inode, found.state), (inode_of(&client), 1));
    assert_eq!(find(TCP, there, here).unwrap().inode, inode_of(&server));
}

#[test]
fn a_udp_socket_has_its_queue_and_limit() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hey", server.local_addr().unwrap()).unwrap();
    let found = find(UDP, server.local_addr().unwrap(), client.local_addr().unwrap()).unwrap();
    assert_eq!(found.inode, inode_of(&server));
    let memory = found.memory.unwrap();
    assert!(memory.receive > 0 && memory.receive_limit > memory.receive, "{memory:?}");
    assert_eq!(memory.drops, 0);
}

/// The ends as the kernel takes them: `(source, destination)`.
#[rstest::rstest]
#[case(TCP, "10.0.0.1:80", "10.0.0.2:5", "10.0.0.1:80 10.0.0.2:5")]
#[case(UDP, "10.0.0.1:80", "10.0.0.2:5", "10.0.0.2:5 10.0.0.1:80")]
#[case(TCP, "[fd00::1]:80", "[fd00::2]:5", "[fd00::1]:80 [fd00::2]:5")]
// An IPv4 peer of an IPv6 socket.
#[case(TCP, "[::ffff:10.0.0.1]:80", "10.0.0.2:5", "[::ffff:10.0.0.1]:80 [::ffff:10.0.0.2]:5")]
fn a_request_has_the_kernels_order(
    #[case] protocol: u8,
    #[case] local: SocketAddr,
    #[case] remote: SocketAddr,
    #[case] ends: &str,
) {
    let bytes = request(&Query { protocol, local, remote, device: 3 });
    let request = InetRequest::parse(&bytes[16..]).unwrap();
    let id = &request.socket_id;
    let source = SocketAddr::new(id.source_address, id.source_port);
    let destination = SocketAddr::new(id.destination_address, id.destination_port);
    assert_eq!(format!("{source} {destination}"), ends);
    assert_eq!((request.protocol, id.interface_id, id.cookie), (protocol, 3, [0xff; 8]));
}

#[test]
fn what_is_not_there_is_not_found() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(find(UDP, closed, ANY_V4), None);
    assert_eq!(find(TCP, closed, ANY_V4), None);
}

#[test]
fn a_namespace_that_is_gone_is_an_error() {
    for path in ["/nowhere/ns/net", "/dev/null"] {
        let error = Diag::open(Some(path.as_ref())).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains("CAP_SYS_ADMIN"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = answer(&bytes);
    }

    /// Whatever follows a well-formed header of an answer.
    #[test]
    fn any_answer_is_safe(payload in prop::collection::vec(any::<u8>(), 0..200), family in 0_u8..12) {
        let mut bytes = u32::try_from(payload.len() + 17).unwrap().to_ne_bytes().to_vec();
        bytes.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, family]);
        bytes.extend(&payload);
        let _ = answer(&bytes);
    }
}
